#pragma once
// A setting is named once: a struct of plain members with defaults, and one line per member in its visit(), which gives
// name, limits and documentation. From that line follow YAML, --set, range check, documentation, the printed run
// record, what may change on a resume, and the warning where nothing reads it. The struct belongs to the module that
// reads it; a config embeds it as a section.
//
//   struct FfnOptions {
//     int64_t size = 1408;
//     void visit(SettingList& s) { s("size", size, Limits{1, 1e7}, "inner width of a dense layer"); }
//   };
//
// For a struct of a folder below this one, which cannot have a visit(), a function visit(SettingList&, Struct&) does.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace birkhoff {

inline constexpr double kMaxInt = 9007199254740992;  // 2^53: every whole number up to it is a double

// Both ends are allowed.
struct Limits {
  double min, max;
};

// The YAML names of an enumeration, in the order of its enumerators; found by argument-dependent lookup:
//   enum class Activation { swiglu, gelu };
//   inline EnumNames names_of(Activation) { static constexpr std::string_view names[] = {"swiglu", "gelu"}; return
//   names; }
using EnumNames = std::span<const std::string_view>;

template <class E>
requires std::is_enum_v<E> std::string_view name_of(E value) { return names_of(value)[static_cast<size_t>(value)]; }

// One of several values, known by its place among them.
struct Choice {
  std::vector<std::string_view> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

// The number of elements of a list of sections, "data.sources"; the elements follow as "data.sources[0].path".
struct ListSize {
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

// A setting of one config: where its value lies, and all that is known about it.
struct Setting {
  using Value = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*, Choice, ListSize>;

  std::string path;  // "model.attention.num_heads"
  Value value;
  Limits limits;  // of numbers and of the elements of a list
  std::string doc;
  bool free_on_resume = false;
  std::string resume_note = {};  // what a change on a resume entails
  std::string unused = {};  // why nothing reads it, given the others: "model.moe.num_experts is 0"; empty: it is read

  // Marks a setting that may change when a run is resumed. Without it a change is refused.
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
  // The same for some of the values of an enumeration, which name_of() names. `value` is one of them.
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

  // Nothing reads the settings that `add_settings` adds where `unused` holds. `why` begins with the setting of the same
  // section that decides it: "num_experts is 0". Around another unused_if, the outer reason is the one that is told.
  // It is for a warning where somebody gave such a setting, not for a refusal: an ablation switches a part off and
  // leaves its settings behind.
  template <class AddSettings>
  void unused_if(bool unused, std::string_view why, AddSettings&& add_settings) {
    const size_t first = settings_.size();
    add_settings();
    for (size_t i = first; unused && i < settings_.size(); ++i) settings_[i].unused = join(why);
  }
  // Nothing reads `path`, a setting or a section added before, for a reason that lies elsewhere.
  void mark_unused(std::string_view path, std::string_view why) {
    const std::string at = join(path);
    for (Setting& s : settings_) {
      if (s.path == at || s.path.starts_with(at + ".")) s.unused = why;
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
