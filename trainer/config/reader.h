#pragma once
// Reads YAML and --set into a checked Config, reporting every mistake at once, and prints a Config as YAML.
#include <map>
#include <string>
#include <vector>

#include "trainer/config/check.h"
#include "trainer/config/config.h"

namespace birkhoff {

// Where each value came from: "default", "configs/x.yaml:12", "--set" or "derived". Keys are paths of settings.
using Origins = std::map<std::string, std::string>;

struct LoadedConfig {
  Config config;
  Origins origins;
  std::vector<std::string> warnings;  // one line each: unused settings that were given, unexpanded ~ and $
};

// Reads the file, applies the overrides "section.name=value" (the value is YAML; the last override of a setting wins),
// fills in derived values, and checks ranges and combinations.
// Errors: UserError that lists all mistakes, each with its line, what was given, what was expected, and what to do.
LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides = {},
                         ConfigUse use = ConfigUse::description);
// The same for a text. Messages and origins call it `name`.
LoadedConfig parse_config(const std::string& text, const std::string& name = "config",
                          const std::vector<std::string>& overrides = {}, ConfigUse use = ConfigUse::description);

// Prints YAML that parse_config reads back as an equal config. With origins, each value is followed by "# from ...".
std::string print_config(Config config, const Origins& origins = {});

// A hash of all values, by which ranks check that they run the same config. It does not depend on how the values were
// given (file, overrides, defaults).
uint64_t digest_config(const Config& config);

// Markdown reference of all settings, generated from their visit() functions.
std::string describe_config();

struct ConfigChange {
  std::string path, before, after;
  bool allowed;      // on a resume
  std::string note;  // consequence of the change
};
std::vector<ConfigChange> diff_configs(Config before, Config after);

// Checks whether a run with the config `before` may be resumed with `after`. Returns the allowed changes as lines to
// print, or an empty text if there are none. Errors: UserError that lists all refused changes.
std::string check_resume(const Config& before, const Config& after);

}  // namespace birkhoff
