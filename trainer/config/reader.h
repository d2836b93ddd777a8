#pragma once
// From YAML and --set to a checked Config, every mistake reported at once, and back.
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
  std::vector<std::string> warnings;  // settings that somebody gave and nothing reads, a line each
};

// Reads the file, applies overrides "section.name=value" (value in YAML; later ones win), fills derived values and
// checks ranges and combinations. Errors: UserError that lists all mistakes, each with its line, what was given, what
// was expected, and what to do.
LoadedConfig load_config(const std::string& path, const std::vector<std::string>& overrides = {},
                         ConfigUse use = ConfigUse::description);
// The same for text; `name` stands for the file in messages and origins.
LoadedConfig parse_config(const std::string& text, const std::string& name = "config",
                          const std::vector<std::string>& overrides = {}, ConfigUse use = ConfigUse::description);

// What needs the number of ranks to be judged: dp * tp * pp * cp == world_size, whole microbatches a replica. Returns
// dp. Errors: UserError.
int64_t check_world(const Config& config, int64_t world_size);

// YAML that parse_config reads back to an equal config. With origins, each line ends in "# from ...".
std::string print_config(Config config, const Origins& origins = {});

// The same number on all ranks that run the same config, whatever file and overrides gave it.
uint64_t digest_config(const Config& config);

// Markdown reference of every setting, from the schema.
std::string describe_config();

struct ConfigChange {
  std::string path, before, after;
  bool allowed;      // on a resume
  std::string note;  // what the change entails
};
std::vector<ConfigChange> diff_configs(Config before, Config after);

// Checks a resume of a run that had `before`. Returns the allowed changes as lines to print, empty if there are none.
// Errors: UserError that lists all changes that are refused.
std::string check_resume(const Config& before, const Config& after);

}  // namespace birkhoff
