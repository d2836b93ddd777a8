#pragma once
// Parses a YAML document into a plain tree. Only yaml_tree.cc includes yaml-cpp, whose headers are slow to compile.
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

struct YamlNode {
  enum class Kind { null, scalar, sequence, map };

  Kind kind = Kind::null;
  int line = 0;         // counted from 1
  std::string text;     // of a scalar
  bool quoted = false;  // a scalar in quotes or with the tag !!str is text, never a number
  std::string tag;      // of a scalar: "!!int"; empty if none was written
  std::string key;      // if the parent is a map
  std::vector<YamlNode> children;
};

inline constexpr int64_t kMaxYamlBytes = int64_t{1} << 20;

// Parses one document of at most kMaxYamlBytes. An alias is replaced by a copy of the node that it refers to. Nested
// aliases let a few bytes describe a huge document, so the result may have at most 20,000 nodes. Duplicate keys stay in
// the tree; the caller reports them. Errors: UserError that begins with "line N: ".
YamlNode parse_yaml(const std::string& text);

}  // namespace birkhoff
