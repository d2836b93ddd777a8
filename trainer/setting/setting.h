#pragma once
// Each setting is declared once. A module defines a struct of plain members with defaults, and a visit() that has one
// line per member with its name, limits and documentation. YAML, --set, range checks, documentation, the printed run
// record, the rules of a resume and the warnings about unused settings are all derived from that line. The struct
// belongs to the module that reads it; a config embeds it as a section.
//
//   struct FfnOptions {
//     int64_t size = 1408;
//     void visit(SettingList& s) { s("size", size, Limits{1, 1e7}, "inner width of a dense layer"); }
//   };
//
// A struct of kernels/, parallel/ or data/ cannot have such a member, since these may not include this header; define a
// free function visit(SettingList&, Struct&) for it instead.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/core/enum_names.h"

namespace birkhoff {

inline constexpr double kMaxInt = 9007199254740992;  // 2^53: a double holds every whole number up to here

// A closed range: both ends are allowed.
struct Limits {
  double min, max;
};

// A setting that takes one of several named values. get() and set() use the index of the value in `names`.
struct Choice {
  std::vector<std::string_view> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

// The length of a list of sections such as "data.sources". The settings of its elements are separate settings that
// follow it, such as "data.sources[0].path".
struct ListSize {
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

// One setting of one config: a pointer to its value, and its description.
struct Setting {
  using Value = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*, Choice, ListSize>;

  std::string path;  // "model.attention.num_heads"
  Value value;
  Limits limits;  // of numbers and of the elements of a list
  std::string doc;
  bool free_on_resume = false;
  std::string resume_note = {};  // consequence of a change on a resume
  std::string unused = {};       // why no code reads it in this config: "model.moe.num_experts is 0"; empty: it is read

  // Allows the setting to change when a run is resumed. By default a change is refused.
  void free(std::string_view note = "") {
    free_on_resume = true;
    resume_note = note;
  }
};

// Collects the settings of a config, in the order in which the visit() functions name them.
class SettingList {
 public:
  Setting& operator()(std::string_view name, bool& value, std::string_view doc) {
    return add(name, &value, {0, 1}, doc);
  }
  Setting& operator()(std::string_view name, int64_t& value, Limits limits, std::string_view doc) {
    return add(name, &value, limits, doc);
  }
  Setting& operator()(std::string_view name, double& value, Limits limits, std::string_view doc) {
    return add(name, &value, limits, doc);
  }
  Setting& operator()(std::string_view name, std::string& value, std::string_view doc) {
    return add(name, &value, {}, doc);
  }
  Setting& operator()(std::string_view name, std::vector<int64_t>& value, Limits limits, std::string_view doc) {
    return add(name, &value, limits, doc);
  }
  template <class E>
  requires std::is_enum_v<E> Setting& operator()(std::string_view name, E& value, std::string_view doc) {
    const EnumNames names = names_of(value);
    Choice choice{{names.begin(), names.end()},
                  [&value] { return static_cast<size_t>(value); },
                  [&value](size_t i) { value = static_cast<E>(i); }};
    return add(name, std::move(choice), {}, doc);
  }
  // As above, but accepts only the `allowed` values of the enumeration. name_of() gives their names; `value` must be
  // one of them.
  template <class E>
  requires std::is_enum_v<E> Setting& operator()(std::string_view name, E& value, std::initializer_list<E> allowed,
                                                 std::string_view doc) {
    const std::vector<E> values(allowed);
    Choice choice{{},
                  [&value, values] {
                    return static_cast<size_t>(std::find(values.begin(), values.end(), value) - values.begin());
                  },
                  [&value, values](size_t i) { value = values.at(i); }};
    for (const E v : values) choice.names.push_back(name_of(v));
    return add(name, std::move(choice), {}, doc);
  }

  template <class Section>
  void section(std::string_view name, Section& section, std::string_view doc) {
    const std::string outer = prefix_;
    prefix_ = join(name);
    sections_.push_back({prefix_, std::string(doc)});
    if constexpr (requires { section.visit(*this); }) {
      section.visit(*this);
    } else {
      visit(*this, section);
    }
    prefix_ = outer;
  }

  template <class Section>
  void list(std::string_view name, std::vector<Section>& items, std::string_view doc) {
    add(name, ListSize{[&items] { return items.size(); }, [&items](size_t n) { items.resize(n); }}, {}, doc);
    const std::string outer = prefix_;
    for (size_t i = 0; i < items.size(); ++i) {
      prefix_ = outer + (outer.empty() ? "" : ".") + std::string(name) + "[" + std::to_string(i) + "]";
      items[i].visit(*this);
    }
    prefix_ = outer;
  }

  // Runs `add_settings`, and if `unused` is true marks every setting that it adds as unused for the reason `why`. The
  // reason begins with the name of the deciding setting, which is in the same section: "num_experts is 0". If calls are
  // nested, the reason of the outer call wins. Giving an unused setting is a warning and not an error, because an
  // ablation that switches a part off usually leaves the settings of that part in the file.
  template <class AddSettings>
  void unused_if(bool unused, std::string_view why, AddSettings&& add_settings) {
    const size_t first = settings_.size();
    add_settings();
    for (size_t i = first; unused && i < settings_.size(); ++i) settings_[i].unused = join(why);
  }
  // Marks `path`, a setting or a section that was added before, as unused, but not the setting `except` in it. The
  // reason may lie in another section.
  void mark_unused(std::string_view path, std::string_view why, std::string_view except = {}) {
    const std::string at = join(path), kept = join(except);
    for (Setting& s : settings_) {
      if ((s.path == at || s.path.starts_with(at + ".")) && s.path != kept) s.unused = why;
    }
  }

  struct SectionDoc {
    std::string path, doc;
  };
  const std::vector<Setting>& settings() const { return settings_; }
  const std::vector<SectionDoc>& sections() const { return sections_; }

 private:
  std::string join(std::string_view name) const { return (prefix_.empty() ? "" : prefix_ + ".") + std::string(name); }
  Setting& add(std::string_view name, Setting::Value value, Limits limits, std::string_view doc) {
    return settings_.emplace_back(Setting{join(name), std::move(value), limits, std::string(doc)});
  }

  std::string prefix_;
  std::vector<Setting> settings_;
  std::vector<SectionDoc> sections_;
};

}  // namespace birkhoff
