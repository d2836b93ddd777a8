#include "kernels/core/error.h"
#include "trainer/config/reader.h"
#include "trainer/config/value.h"

namespace birkhoff {
namespace {

struct Line {
  std::string value;
  const Setting* setting;
};

std::map<std::string, Line> lines_of(const SettingList& list) {
  std::map<std::string, Line> lines;
  for (const Setting& setting : list.settings()) {
    const auto* size = std::get_if<ListSize>(&setting.value);
    lines[setting.path] = {size ? concat(size->get(), " elements") : yaml_of(setting), &setting};
  }
  return lines;
}

std::string text_of(const ConfigChange& change) {
  return concat("\n  ", change.path, ": ", change.before, " -> ", change.after,
                change.note.empty() ? "" : " (" + change.note + ")");
}

}  // namespace

std::vector<ConfigChange> diff_configs(Config before, Config after) {
  const SettingList list_before = settings_of(before), list_after = settings_of(after);
  const auto old_lines = lines_of(list_before);
  const auto new_lines = lines_of(list_after);
  std::vector<ConfigChange> changes;
  for (const Setting& setting : list_after.settings()) {
    const auto old_line = old_lines.find(setting.path);
    if (old_line == old_lines.end()) continue;  // a new element of a list: the length of the list is reported
    const std::string& value = new_lines.at(setting.path).value;
    if (old_line->second.value == value) continue;
    changes.push_back({setting.path, old_line->second.value, value, setting.free_on_resume, setting.resume_note});
  }
  return changes;
}

std::string check_resume(const Config& before, const Config& after) {
  std::string allowed, refused;
  // With mixture_change restart, the loader begins the mixture anew, so other sources, weights and seed are allowed.
  const bool restart = after.data.mixture_change == MixtureChange::restart;
  for (ConfigChange& change : diff_configs(before, after)) {
    const bool mixture = change.path == "data.seed" || change.path.starts_with("data.sources");
    if (restart && mixture) {
      change.allowed = true;
      change.note = "the mixture begins anew here";
    }
    (change.allowed ? allowed : refused) += text_of(change);
  }
  BK_CHECK(refused.empty(), "the run to resume was started with other settings that cannot change:", refused,
           "\n  Restore them, or start a new run in another run.dir. `birkhoff describe config` names the settings "
           "that are free "
           "to change.");
  return allowed.empty() ? "" : "resumed with changed settings:" + allowed + "\n";
}

}  // namespace birkhoff
