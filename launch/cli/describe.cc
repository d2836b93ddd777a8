#include "trainer/plan/describe.h"

#include <algorithm>
#include <cstdio>

#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "launch/cli/layout_option.h"
#include "trainer/config/layout_rules.h"
#include "trainer/plan/layout_plan.h"

namespace birkhoff {
namespace {

constexpr int64_t kThoseOfTheLayout = INT64_MIN;  // not given

struct DescribeOptions {
  std::string config, layout;
  std::vector<std::string> overrides;
  int64_t ranks = kThoseOfTheLayout;
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

// The layout of a config on as many ranks as it needs, or on those that are given.
MeshDegrees checked_layout(const Config& config, int64_t ranks) {
  const MeshDegrees layout = ranks > 0 ? degrees_of(config.parallel) : with_least_dp(degrees_of(config.parallel));
  int64_t own = 1;
  for (const int degree : {layout.tp, layout.cp, layout.dp, layout.pp}) {
    own *= std::max(1, degree);
    BK_CHECK(own <= kMostPlannedRanks, "layout ", layout_name(layout), " has more than ", kMostPlannedRanks,
             " ranks, which are the most that are described");
  }
  return check_layout(config, layout, ranks > 0 ? ranks : own);
}

ExitCode describe_model_of(const DescribeOptions& options) {
  const LoadedConfig loaded =
      with_warnings(load_with_layout(options.config, options.layout, options.overrides, ConfigUse::layout));
  const MeshDegrees layout = checked_layout(loaded.config, 0);
  std::fputs(print(describe_model(loaded.config, layout)).c_str(), stdout);
  return ExitCode::done;
}

// Describes every layout on so many ranks if only their number is given, otherwise one layout.
ExitCode describe_layouts(const DescribeOptions& options) {
  const bool given = options.ranks != kThoseOfTheLayout;
  const int64_t ranks = given ? options.ranks : 0;
  BK_CHECK(!given || (ranks >= 1 && ranks <= kMostPlannedRanks), "--ranks is ", ranks, ", expected a number from 1 to ",
           kMostPlannedRanks);
  const LoadedConfig loaded =
      with_warnings(load_with_layout(options.config, options.layout, options.overrides, ConfigUse::layout));
  if (given && options.layout.empty()) {
    for (const std::string& setting : given_degrees(loaded.config.parallel)) {
      std::fprintf(stderr, "warning: %s has no effect: --ranks without --layout describes every layout\n",
                   setting.c_str());
    }
    const std::vector<MeshDegrees> layouts = layouts_of(loaded.config, ranks);
    if (layouts.empty()) check_layout(loaded.config, {}, ranks);  // says why not
    const Config config = with_vocabulary(loaded.config);
    std::vector<LayoutPlan> plans;
    for (const MeshDegrees& layout : layouts) plans.push_back(plan_layout(config, layout));
    std::fputs(print(std::move(plans)).c_str(), stdout);
    return ExitCode::done;
  }
  const MeshDegrees layout = checked_layout(loaded.config, ranks);
  std::fputs(print(plan_layout(with_vocabulary(loaded.config), layout)).c_str(), stdout);
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
      .option("--layout", model->layout, kLayoutHelp)
      .option("--set", model->overrides, "section.name=value, over the file")
      .run([model] { return describe_model_of(*model); });
  auto layout = std::make_shared<DescribeOptions>();
  describe.subcommand("layout", "What each rank of a layout holds and sends, without starting it")
      .positional("CONFIG", layout->config, "YAML file")
      .option("--layout", layout->layout, kLayoutHelp)
      .option("--ranks", layout->ranks, "number of ranks; without --layout, every layout on so many ranks")
      .option("--set", layout->overrides, "section.name=value, over the file")
      .run([layout] { return describe_layouts(*layout); });
}

}  // namespace birkhoff
