#include "trainer/config/reader.h"

#include <algorithm>
#include <set>

#include "data/file/regular_file.h"
#include "kernels/core/error.h"
#include "kernels/core/nearest.h"
#include "trainer/config/check.h"
#include "trainer/config/refusal.h"
#include "trainer/config/suggest.h"
#include "trainer/config/value.h"
#include "trainer/config/yaml_tree.h"

namespace birkhoff {
namespace {

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

// Applies YAML trees to a config and collects all mistakes.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) { collect(); }

  void read_file(const std::string& text) {
    try {
      const YamlNode root = parse_yaml(text);
      if (root.kind == YamlNode::Kind::null) {
        problem(name_,
                "the file is empty, expected sections such as 'run:' and 'model:'; see birkhoff describe config");
      } else if (root.kind != YamlNode::Kind::map) {
        problem(name_, "expected sections such as 'run:' and 'model:', each a name and a colon");
      } else {
        read_section(root, "");
      }
    } catch (const UserError& e) {
      problem(name_, e.what());
      unreadable_ = true;
    }
  }

  void read_override(const std::string& text) {
    override_ = "--set " + text;
    const size_t equals = text.find('=');
    const std::string path = trimmed(text.substr(0, equals));
    if (equals == std::string::npos || path.empty()) {
      problem(override_, "expected section.name=value");
      return;
    }
    try {
      YamlNode node = parse_yaml(text.substr(equals + 1));
      node.key = path;
      read_entry(node, path);
    } catch (const UserError& e) {
      problem(override_, concat(e.what(), "; if the value is text, quote it: '", path, "=\"...\"'"));
    }
  }

  LoadedConfig finish(ConfigUse use) {
    derive();
    // If the file could not be parsed, its settings are missing, and conflicts found without them would be misleading.
    if (!unreadable_) {
      for (const Conflict& conflict : conflicts_of(config_, use)) report(conflict);
    }
    if (!problems_.empty()) throw UserError(all_problems());
    std::vector<std::string> warnings;
    collect();  // which settings are unused depends on the final values
    for (const Setting& setting : list_.settings()) {
      const std::string& origin = origins_.at(setting.path);
      if (!setting.unused.empty() && origin != "default" && origin != "derived")
        warnings.push_back(concat(origin, ": ", setting.path, " has no effect: ", setting.unused));
    }
    for (const auto& [path, setting] : by_path_) {
      // No shell expands these in a config file, and bash does not expand them after the '=' of --set.
      const auto* text = std::get_if<std::string*>(&setting->value);
      const bool given = origins_.at(path) != "default" && origins_.at(path) != "derived";
      if (text && given && ((*text)->starts_with("~/") || (*text)->starts_with('$')))
        warnings.push_back(concat(origins_.at(path), ": ", path, " is taken as it stands, ", **text,
                                  ": '~' and variables are not replaced; write the folder out"));
    }
    return {std::move(config_), std::move(origins_), std::move(warnings)};
  }

 private:
  // Lists the settings again. Needed whenever a list of config_ changed its length, which moves its elements.
  void collect() {
    list_ = settings_of(config_);
    by_path_.clear();
    sections_ = {""};
    for (const SettingList::SectionDoc& section : list_.sections()) sections_.insert(section.path);
    for (const Setting& setting : list_.settings()) {
      by_path_[setting.path] = &setting;
      origins_.try_emplace(setting.path, "default");
    }
  }

  void read_section(const YamlNode& map, const std::string& prefix) {
    std::map<std::string, int> seen;
    for (const YamlNode& entry : map.children) {
      if (entry.key.empty()) {
        problem(where(entry),
                concat("a name is empty, expected that of a setting", prefix.empty() ? "" : " in " + prefix));
        continue;
      }
      const std::string path = prefix.empty() ? entry.key : prefix + "." + entry.key;
      const auto [earlier, is_new] = seen.try_emplace(entry.key, entry.line);
      if (is_new) {
        read_entry(entry, path);
      } else {
        problem(where(entry), concat(path, " is given twice, first on line ", earlier->second, "; keep one"));
      }
    }
  }

  void read_entry(const YamlNode& node, const std::string& path) {
    const auto found = by_path_.find(path);
    if (found != by_path_.end() && override_.empty()) {
      // read_section() finds a key that a section has twice, but not "run.steps: 1" besides "run: {steps: 1}".
      const auto [earlier, is_new] = lines_.try_emplace(path, node.line);
      if (!is_new) {
        problem(where(node), concat(path, " is given twice, first on line ", earlier->second, "; keep one"));
        return;
      }
    }
    if (found != by_path_.end() && std::holds_alternative<ListSize>(found->second->value)) {
      read_list(*found->second, node);
    } else if (found != by_path_.end()) {
      read_value(*found->second, node);
    } else if (!sections_.contains(path)) {
      problem(where(node), shown(path) + " is not a setting" + suggestion(path));
    } else if (node.kind == YamlNode::Kind::map) {
      read_section(node, path);
    } else if (node.kind != YamlNode::Kind::null) {
      problem(where(node), path + " " + describe_node(node) + ", expected " + section_advice(node, path));
    }
  }

  void read_value(const Setting& setting, const YamlNode& node) {
    if (assign(setting, node)) {
      origins_[setting.path] = override_.empty() ? where(node) : "--set";
      failed_.erase(setting.path);
    } else {
      problem(where(node), refusal_of(setting, node, override_.empty() ? GivenBy::file : GivenBy::option));
      failed_.insert(setting.path);
    }
  }

  void read_list(const Setting& setting, const YamlNode& node) {
    const std::string path = setting.path;
    if (node.kind != YamlNode::Kind::sequence) {
      problem(where(node),
              path + " " + describe_node(node) + ", expected a list: " +
                  (override_.empty() ? "one '- ' for each of its elements" : "[{name: value}], or [] for none"));
      failed_.insert(path);
      return;
    }
    const ListSize& size = std::get<ListSize>(setting.value);
    size.set(0);  // the list replaces the old one, so its elements start from their defaults
    size.set(node.children.size());
    origins_[path] = override_.empty() ? where(node) : "--set";
    std::erase_if(origins_, [&](const auto& origin) { return origin.first.starts_with(path + "["); });
    collect();  // `setting` and `size` are invalid from here on
    for (size_t i = 0; i < node.children.size(); ++i) {
      const std::string element = concat(path, "[", i, "]");
      if (node.children[i].kind == YamlNode::Kind::map) {
        read_section(node.children[i], element);
      } else {
        problem(where(node.children[i]),
                element + " " + describe_node(node.children[i]) + ", expected 'name: value' settings");
        for (const auto& [name, element_setting] : by_path_) {
          if (name.starts_with(element)) failed_.insert(name);
        }
      }
    }
  }

  // Advice for a value given in place of a section. The usual cause is a missing space after a colon.
  std::string section_advice(const YamlNode& node, const std::string& path) const {
    const auto inside = std::find_if(list_.settings().begin(), list_.settings().end(),
                                     [&](const Setting& s) { return s.path.starts_with(path + "."); });
    const std::string leaf = inside->path.substr(path.size() + 1);
    if (!override_.empty()) return concat("one of its settings, such as --set ", path, ".", leaf, "=...");
    const bool no_space = node.kind == YamlNode::Kind::scalar && node.text.find(':') != std::string::npos;
    return concat("a section: its settings, such as '", leaf, ": ...', indented, one a line",
                  no_space ? "; a space must follow each colon" : "");
  }

  // Advice for a path such as "data.sources[3].path" if the list has fewer elements. Empty if the path names no list.
  std::string missing_element(const std::string& path) const {
    const std::string name = path.substr(0, path.find('['));
    const auto list = by_path_.find(name);
    if (name == path || list == by_path_.end() || !std::holds_alternative<ListSize>(list->second->value)) return "";
    return concat("; ", name, " has ", std::get<ListSize>(list->second->value).get(),
                  " elements, counted from 0; give them all: '", name, "=[{name: value}]'");
  }

  std::string suggestion(const std::string& path) const {
    if (path.ends_with("<<")) return "; merge keys are not read, write the settings out";
    if (const std::string missing = missing_element(path); !missing.empty() && !override_.empty()) return missing;
    const size_t dot = path.rfind('.');
    const std::string prefix = dot == std::string::npos ? "" : path.substr(0, dot + 1),
                      leaf = path.substr(prefix.size());
    if (const std::string name = setting_for_foreign_name(leaf); !name.empty()) return "; here it is called " + name;
    std::vector<std::string_view> siblings, all;
    for (const auto& [name, setting] : by_path_) {
      if (name.starts_with(prefix)) siblings.push_back(name);
      if (name.ends_with("." + leaf)) return "; did you mean " + name + "?";
      all.push_back(name);
    }
    for (const std::string& section : sections_) {
      if (section.starts_with(prefix)) siblings.push_back(section);
      all.push_back(section);
    }
    std::string close = nearest(path, siblings);
    if (close.empty()) close = nearest(path, all);
    return close.empty() ? "; see birkhoff describe config" : "; did you mean " + close + "?";
  }

  // Fills in values that follow from other values. It changes the config itself, so the run record shows the values in
  // use.
  void derive() {
    DecoderOptions& m = config_.model;
    const auto fill = [&](const char* path, int64_t& value, int64_t derived) {
      if (value != 0 || derived == 0) return;
      value = derived;
      origins_[path] = "derived";
    };
    const auto fill_text = [&](const char* path, std::string& value, const std::string& derived) {
      if (!value.empty()) return;
      value = derived;
      origins_[path] = "derived";
    };
    fill_text("run.dir", config_.run.dir, "runs/" + config_.run.name);
    fill_text("checkpoint.dir", config_.checkpoint.dir, config_.run.dir + "/checkpoints");
    AttentionOptions& a = m.attention;
    fill("model.attention.num_kv_heads", a.num_kv_heads, a.num_heads);
    const bool mla = a.type == AttentionType::mla;
    const bool divides = m.hidden_size % a.num_heads == 0;
    fill("model.attention.head_dim", a.head_dim, !mla && divides ? m.hidden_size / a.num_heads : 0);
    if (m.position == PositionType::rope) fill("model.rope.dims", m.rope.dims, mla ? a.qk_rope_head_dim : a.head_dim);
    YarnOptions& yarn = m.rope.yarn;
    if (yarn.mscale_all_dim == -1) {
      yarn.mscale_all_dim = yarn.mscale;
      origins_["model.rope.yarn.mscale_all_dim"] = "derived";
    }
    EngramOptions& e = m.engram;
    if (!e.orders.empty()) fill("model.engram.conv_dilation", e.conv_dilation, e.orders.back());
    if (m.position == PositionType::learned) {
      fill("model.max_positions", m.max_positions, config_.batch.sequence_length);
    }
  }

  // Skips a conflict that involves a value already reported as wrong, since it would only repeat that mistake.
  void report(const Conflict& conflict) {
    std::string values, at;
    for (const std::string& path : conflict.paths) {
      if (failed_.contains(path)) return;
      BK_ASSERT(by_path_.contains(path), path);
      const std::string& origin = origins_[path];
      const auto* list = std::get_if<ListSize>(&by_path_[path]->value);
      const std::string value = list && list->get() > 0 ? concat(list->get(), " elements") : yaml_of(*by_path_[path]);
      values += (values.empty() ? "" : ", ") + path + " is " + value + " (" + origin + ")";
      if (at.empty() && origin != "default" && origin != "derived") at = origin;
    }
    problem(at.empty() ? name_ : at, values + ": " + conflict.expected);
  }

  std::string where(const YamlNode& node) const {
    return override_.empty() ? concat(name_, ":", node.line) : override_;
  }
  void problem(const std::string& where, const std::string& what) { problems_.push_back(where + ": " + what); }
  std::string all_problems() const {
    std::string out = concat(name_, " has ", problems_.size(), problems_.size() == 1 ? " mistake:" : " mistakes:");
    constexpr size_t kMostShown = 100;  // a file that is not a config may have a mistake on nearly every line
    for (size_t i = 0; i < std::min(problems_.size(), kMostShown); ++i) out += "\n  " + problems_[i];
    if (problems_.size() > kMostShown) out += concat("\n  and ", problems_.size() - kMostShown, " more");
    return out;
  }

  std::string name_, override_;
  Config config_;
  SettingList list_;
  std::map<std::string, const Setting*> by_path_;
  std::set<std::string> sections_, failed_;  // failed_: settings with a reported mistake
  bool unreadable_ = false;                  // the file is not valid YAML
  std::map<std::string, int> lines_;         // line of the file on which each setting was given
  Origins origins_;
  std::vector<std::string> problems_;
};

}  // namespace

LoadedConfig parse_config(const std::string& text, const std::string& name, const std::vector<std::string>& overrides,
                          ConfigUse use) {
  Reader reader(name);
  reader.read_file(text);
  for (const std::string& override : overrides) reader.read_override(override);
  return reader.finish(use);
}

LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides, ConfigUse use) {
  BK_CHECK(!path.empty(), "the config has an empty name. Give the path of a YAML file");
  std::string text;
  try {
    text = read_regular_file(path, kMaxYamlBytes);
  } catch (const DataError& e) {
    throw UserError(concat("cannot read the config: ", e.what(), ". Give the path of a YAML file"));
  }
  return parse_config(text, path, overrides, use);
}

}  // namespace birkhoff
