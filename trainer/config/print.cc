#include <algorithm>

#include "kernels/core/error.h"
#include "trainer/config/reader.h"
#include "trainer/config/value.h"

namespace birkhoff {
namespace {

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('.')); }
std::string leaf_of(const std::string& path) { return path.substr(path.rfind('.') + 1); }
int64_t depth_of(const std::string& path) { return std::count(path.begin(), path.end(), '.'); }

// Prints settings in order, and a "section:" line before the first setting of each section.
class YamlPrinter {
 public:
  explicit YamlPrinter(const Origins& origins) : origins_(origins) {}

  void print(const Setting& setting) {
    const std::string parent = parent_of(setting.path);
    const bool element = parent.ends_with(']');
    const bool first_of_element = element && parent != parent_;
    if (!element) open(parent);
    parent_ = parent;
    const std::string indent(static_cast<size_t>(2 * depth_of(setting.path) + (element ? 2 : 0)), ' ');
    std::string line = first_of_element ? indent.substr(2) + "- " : indent;
    const std::string value = yaml_of(setting);
    line += leaf_of(setting.path) + ":" + (value.empty() ? "" : " " + value);
    const auto origin = origins_.find(setting.path);
    if (origin != origins_.end()) line.append(std::max<size_t>(line.size() + 2, 44) - line.size(), ' ');
    out_ += line + (origin == origins_.end() ? "" : "# from " + origin->second) + "\n";
  }
  std::string take() { return std::move(out_); }

 private:
  // Settings may follow a subsection of their section, so a section that was opened once is not printed again.
  void open(const std::string& section) {
    if (std::find(opened_.begin(), opened_.end(), section) != opened_.end()) return;
    if (section.find('.') != std::string::npos) open(parent_of(section));
    out_ += std::string(static_cast<size_t>(2 * depth_of(section)), ' ') + leaf_of(section) + ":\n";
    opened_.push_back(section);
  }

  const Origins& origins_;
  std::vector<std::string> opened_;
  std::string parent_, out_;
};

// A bar would end the cell of a Markdown table.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string row(const Setting& setting, const std::string& name) {
  const std::string value = yaml_of(setting);
  return concat("| `", name, "` | ", value.empty() ? "`\"\"`" : "`" + value + "`", " | ", type_of(setting), " | ",
                cell(setting.doc), " | ", setting.free_on_resume ? "free" : "fixed",
                setting.resume_note.empty() ? "" : ": " + setting.resume_note, " |\n");
}

// The default config with one element in each list, so that the settings of elements are documented too.
Config example_config() {
  Config config;
  config.data.sources.resize(1);
  config.batch.length_schedule.resize(1);
  return config;
}

}  // namespace

std::string print_config(Config config, const Origins& origins) {
  YamlPrinter printer(origins);
  const SettingList list = settings_of(config);
  for (const Setting& setting : list.settings()) printer.print(setting);
  return printer.take();
}

uint64_t digest_config(const Config& config) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : print_config(config)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string describe_config() {
  Config config = example_config();
  const SettingList list = settings_of(config);
  std::string out =
      "# Settings\n\nWritten by `birkhoff describe config`. A setting that is fixed keeps its value when a run is "
      "resumed.\nAny of them can be given as `--set section.name=value`, where all items of a list are given together: "
      "`--set "
      "\"data.sources=[{path: data}]\"`.\nRelative paths start from the folder in which the program is started, not "
      "from "
      "that of the config; only\n`metrics.jsonl` starts from `run.dir`.\n";
  for (const auto& [section, doc] : list.sections()) {
    out += concat("\n## ", section, "\n\n", doc, "\n\n");
    std::string table;
    for (const Setting& setting : list.settings()) {
      std::string parent = parent_of(setting.path), name = leaf_of(setting.path);
      if (parent.ends_with(']')) {
        name = leaf_of(parent.substr(0, parent.rfind('['))) + "." + name;
        parent = parent_of(parent);
      }
      if (parent == section) table += row(setting, name);
    }
    if (!table.empty()) out += "| setting | default | type | meaning | on resume |\n|---|---|---|---|---|\n" + table;
  }
  return out;
}

}  // namespace birkhoff
