#pragma once
// A YAML document as a plain tree. Its .cc is the only unit that includes yaml-cpp, whose headers are slow to compile.
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

struct YamlNode {
  enum class Kind { null, scalar, sequence, map };

  Kind kind = Kind::null;
  int line = 0;         // from 1
  std::string text;     // of a scalar
  bool quoted = false;  // a scalar in quotes or with the tag !!str is text, never a number
  std::string tag;      // "!!int", of a scalar; empty where none was written
  std::string key;      // of a map's child
  std::vector<YamlNode> children;
};

inline constexpr int64_t kMaxYamlBytes = int64_t{1} << 20;

// Aliases are copied in place; a document of more than 20,000 nodes is refused, however few bytes describe it, and so
// is a text of more than kMaxYamlBytes. Errors: UserError with "line N: " in front; duplicate keys are kept for the
// caller to report.
YamlNode parse_yaml(const std::string& text);

}  // namespace birkhoff
