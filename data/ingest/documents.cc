#include "data/ingest/documents.h"

#include <algorithm>
#include <optional>
#include <regex>
#include <utility>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using Json = nlohmann::json;

std::string_view line_at(std::string_view text, size_t at) {
  const size_t end = text.find('\n', at);
  return text.substr(at, end == std::string_view::npos ? end : end - at + 1);
}

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

// Says, line by line, whether a document may end before this line.
class Cutter {
 public:
  explicit Cutter(const SplitRule& rule) : rule_(rule) {
    try {
      if (rule.kind == SplitRule::Kind::regex) regex_.emplace(rule.regex);
    } catch (const std::regex_error& error) {
      throw UserError(concat("cannot read the regular expression '", rule.regex, "': ", error.what()));
    }
    BK_CHECK(rule.kind != SplitRule::Kind::size || rule.bytes > 0, "documents of ", rule.bytes, " bytes are empty");
  }

  bool cut_before(std::string_view line, int64_t document_bytes) {
    const bool was_blank = std::exchange(last_blank_, blank(line));
    switch (rule_.kind) {
      case SplitRule::Kind::whole:
        return false;
      case SplitRule::Kind::blank_lines:
        return was_blank && !last_blank_ && document_bytes >= rule_.min_bytes;
      case SplitRule::Kind::regex:
        return document_bytes >= rule_.min_bytes && std::regex_search(line.begin(), line.end(), *regex_);
      case SplitRule::Kind::size:
        return document_bytes >= rule_.bytes;
    }
    return false;
  }

 private:
  const SplitRule& rule_;
  std::optional<std::regex> regex_;
  bool last_blank_ = false;
};

void read_json_lines(std::string_view text, const std::string& field, const std::filesystem::path& path,
                     const std::function<void(std::string_view)>& use) {
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    at += line.size();
    ++number;
    if (blank(line)) continue;
    std::string document;
    try {
      document = Json::parse(line).at(field).get<std::string>();
    } catch (const Json::exception& error) {
      throw DataError(concat(path.string(), ": line ", number, ": no string '", field, "': ", error.what()));
    }
    if (!document.empty()) use(document);
  }
}

bool is_json_lines(std::filesystem::path path) {
  if (path.extension() == ".gz" || path.extension() == ".zst") path.replace_extension();
  return path.extension() == ".jsonl";
}

}  // namespace

std::vector<std::string_view> split_documents(std::string_view text, const SplitRule& rule) {
  Cutter cutter(rule);
  std::vector<std::string_view> documents;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    if (cutter.cut_before(line, static_cast<int64_t>(at - begin)) && at > begin) {
      documents.push_back(text.substr(begin, at - begin));
      begin = at;
    }
    at += line.size();
  }
  if (begin < text.size()) documents.push_back(text.substr(begin));
  return documents;
}

void read_documents(const std::filesystem::path& path, const SplitRule& rule, const std::string& json_field,
                    const std::function<void(std::string_view)>& use) {
  const std::string text = read_unpacked(path);
  if (is_json_lines(path)) return read_json_lines(text, json_field, path, use);
  for (const std::string_view document : split_documents(text, rule)) use(document);
}

}  // namespace birkhoff
