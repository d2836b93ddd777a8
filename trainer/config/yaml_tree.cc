#include "trainer/config/yaml_tree.h"

#include <map>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr size_t kMaxNodes = 20'000, kMaxDepth = 32;

size_t count_nodes(const YamlNode& node) {
  size_t count = 1;
  for (const YamlNode& child : node.children) count += count_nodes(child);
  return count;
}

// The tag as the file writes it. Empty for "?" and "!", by which yaml-cpp marks plain and quoted values without a tag.
std::string written_tag(const std::string& tag) {
  constexpr std::string_view core = "tag:yaml.org,2002:";
  if (tag.empty() || tag == "?" || tag == "!") return "";
  return tag.starts_with(core) ? "!!" + tag.substr(core.size()) : tag;
}

void refuse_tag(const YAML::Mark& mark, const std::string& tag, std::string_view allowed) {
  const std::string written = written_tag(tag);
  BK_CHECK(written.empty() || written == allowed, "line ", mark.line + 1, ": the tag ", written,
           " means nothing here; remove it");
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take() { return std::move(root_); }
  int begin() const { return begin_; }  // line on which the document begins

  void OnDocumentStart(const YAML::Mark& mark) override { begin_ = mark.line + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, {}, anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    BK_CHECK(found != anchors_.end(), "line ", mark.line + 1,
             ": an alias refers to a node that contains it; write the values out");
    count(mark, count_nodes(found->second));  // counts before it copies, so that nested aliases cannot fill the memory
    place(found->second, mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.text = value;
    node.tag = written_tag(tag);
    node.quoted = tag == "!" || node.tag == "!!str";
    if (node.quoted) node.tag.clear();
    leaf(mark, std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag, "!!seq");
    open(mark, YamlNode::Kind::sequence, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag, "!!map");
    open(mark, YamlNode::Kind::map, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    int key_line = 0;
  };

  void count(const YAML::Mark& mark, size_t nodes) {
    nodes_ += nodes;
    BK_CHECK(nodes_ <= kMaxNodes, "line ", mark.line + 1, ": the document unfolds to more than ", kMaxNodes,
             " values; write fewer aliases");
  }
  void leaf(const YAML::Mark& mark, YamlNode node, YAML::anchor_t anchor) {
    count(mark, 1);
    node.line = mark.line + 1;
    if (anchor) anchors_[anchor] = node;
    place(std::move(node), mark);
  }
  void open(const YAML::Mark& mark, YamlNode::Kind kind, YAML::anchor_t anchor) {
    count(mark, 1);
    BK_CHECK(open_.size() < kMaxDepth, "line ", mark.line + 1, ": nested deeper than ", kMaxDepth, " levels");
    Open opened;
    opened.node.kind = kind;
    opened.node.line = mark.line + 1;
    opened.anchor = anchor;
    open_.push_back(std::move(opened));
  }
  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    // Registered only now that the node is complete: an alias inside the node itself must not find it.
    if (done.anchor) anchors_[done.anchor] = done.node;
    YAML::Mark mark;
    mark.line = done.node.line - 1;
    place(std::move(done.node), mark);
  }
  // Attaches a finished node: as the root, as an item of a list, or, alternately, as a key and a value of a map.
  void place(YamlNode node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::map && !parent.has_key) {
      BK_CHECK(node.kind == YamlNode::Kind::scalar, "line ", mark.line + 1, ": a key must be a name");
      parent.key = node.text;
      parent.key_line = mark.line + 1;
      parent.has_key = true;
      return;
    }
    if (parent.has_key) {
      node.key = parent.key;
      node.line = parent.key_line;
      parent.has_key = false;
    }
    parent.node.children.push_back(std::move(node));
  }

  YamlNode root_;
  int begin_ = 0;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  size_t nodes_ = 0;
};

// yaml-cpp reads some tabs in the indentation as content, and then reports an error in another place.
void refuse_tabs(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    BK_CHECK(line.find('\t') > first, "line ", number, ": indented by a tab; YAML allows only spaces");
  }
}

// Whether the text is UTF-16 or UTF-32. yaml-cpp detects these by a zero among the first bytes or by a byte order mark.
bool is_wide(const std::string& text) {
  return text.substr(0, 2).find('\0') != std::string::npos || text.starts_with("\xff\xfe") ||
         text.starts_with("\xfe\xff");
}

// YAML allows no control characters except tabs and line ends. yaml-cpp would read a zero byte as a backslash.
void refuse_controls(const std::string& text) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (size_t at = 0, line = 1; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    line += byte == '\n';
    BK_CHECK(byte >= 0x20 || byte == '\t' || byte == '\n' || byte == '\r', "line ", line, ": holds the byte ", "0x",
             kHex[byte >> 4], kHex[byte & 15], ", but a config is text; write such a character as \"\\x",
             kHex[byte >> 4], kHex[byte & 15], "\" if it is meant");
  }
}

// Works around yaml-cpp, which takes the end of the text for a closing quote if a line end precedes it. Appends the
// comment "#": inside an open quote it becomes part of the quoted text, and yaml-cpp then reports the missing quote;
// elsewhere it has no meaning. UTF-16 and UTF-32 texts are returned unchanged.
std::string with_comment_at_end(std::string text) {
  const bool wide = is_wide(text);
  const size_t last = text.find_last_not_of(' ');
  if (wide || last == std::string::npos || (text[last] != '\n' && text[last] != '\r')) return text;
  text.resize(last + 1);
  return text + '#';
}

// The message of yaml-cpp, with advice for mistakes that missing quotes lead to.
std::string explained(const std::string& message) {
  if (message.starts_with("the referenced anchor"))
    return "a value that begins with '*' refers to an anchor, and there is none of this name; quote it if it is text";
  if (message == YAML::ErrorMsg::MAP_VALUE) return message + "; a text that holds ': ' must be quoted";
  if (message == YAML::ErrorMsg::EOF_IN_SCALAR) return message + ": a quote that was opened is never closed";
  return message;
}

}  // namespace

YamlNode parse_yaml(const std::string& text) {
  BK_CHECK(static_cast<int64_t>(text.size()) <= kMaxYamlBytes, "line 1: ", text.size(),
           " bytes, expected a config of at most ", kMaxYamlBytes);
  if (!is_wide(text)) refuse_controls(text);
  refuse_tabs(text);
  std::istringstream in(with_comment_at_end(text));
  TreeBuilder builder;
  try {
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    TreeBuilder second;
    BK_CHECK(
        !parser.HandleNextDocument(second), "line ", second.begin(),
        ": a second document begins here, since the first ended before; write one document a file, and sections as "
        "'name:' lines");
  } catch (const YAML::Exception& e) {
    throw UserError(concat("line ", e.mark.line + 1, ": ", explained(e.msg)));
  }
  return builder.take();
}

}  // namespace birkhoff
