#pragma once
// A setting is named once: a struct of plain members with defaults, and one line per member in its visit(), which gives
// name, limits and documentation. From that line follow YAML, --set, range check, documentation, the printed run record
// and what may change on a resume.
//
//   struct DataConfig {
//     int64_t seed = 1;
//     void visit(SettingList& s) { s("seed", seed, Limits{0, kMaxInt}, "order of the samples"); }
//   };
#include <cstdint>
#include <functional>
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

struct Choice {
  EnumNames names;
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
  std::string resume_note;  // what a change on a resume entails

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
    Choice choice{names_of(value), [&value] { return static_cast<size_t>(value); },
                  [&value](size_t i) { value = static_cast<E>(i); }};
    return add(name, std::move(choice), {}, doc);
  }

  template <class Section>
  void section(std::string_view name, Section& section, std::string_view doc) {
    const std::string outer = prefix_;
    prefix_ = join(name);
    sections_.push_back({prefix_, std::string(doc)});
    section.visit(*this);
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

  struct SectionDoc {
    std::string path, doc;
  };
  const std::vector<Setting>& settings() const { return settings_; }
  const std::vector<SectionDoc>& sections() const { return sections_; }

 private:
  std::string join(std::string_view name) const { return (prefix_.empty() ? "" : prefix_ + ".") + std::string(name); }
  Setting& add(std::string_view name, Setting::Value value, Limits limits, std::string_view doc) {
    return settings_.emplace_back(Setting{join(name), std::move(value), limits, std::string(doc), false, ""});
  }

  std::string prefix_;
  std::vector<Setting> settings_;
  std::vector<SectionDoc> sections_;
};

}  // namespace birkhoff
