#include "trainer/plan/describe.h"

#include <cstdio>

#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

struct DescribeOptions {
  std::string config;
  std::vector<std::string> overrides;
};

LoadedConfig with_warnings(LoadedConfig loaded) {
  for (const std::string& warning : loaded.warnings) std::fprintf(stderr, "warning: %s\n", printable(warning).c_str());
  return loaded;
}

// Prints the reference of all settings if neither a file nor an override is given, otherwise the resulting
// configuration.
ExitCode describe_config_or_file(const DescribeOptions& options) {
  if (options.config.empty() && options.overrides.empty()) {
    std::fputs(describe_config().c_str(), stdout);
    return ExitCode::done;
  }
  const LoadedConfig loaded =
      with_warnings(options.config.empty() ? parse_config("run:\n", "defaults", options.overrides)
                                           : load_config(options.config, options.overrides));
  std::fputs(print_config(loaded.config, loaded.origins).c_str(), stdout);
  return ExitCode::done;
}

}  // namespace

void add_describe(Cli& cli) {
  Command describe = cli.command("describe", "Print what a config means");
  auto options = std::make_shared<DescribeOptions>();
  describe.subcommand("config", "All settings as Markdown; with a file, its values and where each came from")
      .option("config", options->config, "YAML file")
      .option("--set", options->overrides, "section.name=value, over the file")
      .run([options] { return describe_config_or_file(*options); });
  auto model = std::make_shared<DescribeOptions>();
  describe.subcommand("model", "Parameters, bytes and FLOPs of a config's model, without allocating it")
      .positional("CONFIG", model->config, "YAML file")
      .option("--set", model->overrides, "section.name=value, over the file")
      .run([model] {
        const LoadedConfig loaded = with_warnings(load_config(model->config, model->overrides));
        std::fputs(print(describe_model(loaded.config)).c_str(), stdout);
        return ExitCode::done;
      });
}

}  // namespace birkhoff
