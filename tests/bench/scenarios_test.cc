// Runs every scenario of the program on the smallest model that has every part. Checks that the scenarios run and print
// what docs/benchmarks.md lists, but not the numbers that they measure.
#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string source_dir() {
  const char* dir = std::getenv("BIRKHOFF_SOURCE_DIR");
  return dir ? dir : ".";
}

std::string command(int ranks, const std::string& scenario, const std::string& arguments = "") {
  const std::string config = scenario == "collectives" ? "" : " --config " + source_dir() + "/configs/test.yaml";
  return mpirun(ranks) + BIRKHOFF_PROGRAM + " bench " + scenario + config + " " + arguments;
}

// Returns the report of a scenario. Checks that all its numbers are finite and documented, and that those named in
// `positive` are above 0.
Json run(int ranks, const std::string& scenario, const std::vector<std::string>& positive,
         const std::string& arguments = "") {
  const ProgramResult result = run_program(command(ranks, scenario, "--json --rounds 2 " + arguments));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const Json report = Json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(report.is_object()) << result.output;
  if (!report.is_object()) return Json::object();
  EXPECT_EQ(report.value("scenario", ""), scenario);
  const std::string page = read_file(source_dir() + "/docs/benchmarks.md");
  for (const auto& [key, value] : report.items()) {
    EXPECT_NE(page.find("`" + key + "`"), std::string::npos) << "docs/benchmarks.md does not say what " << key << " is";
    EXPECT_FALSE(value.is_null()) << key << " is not finite";
  }
  for (const std::string& key : positive) EXPECT_GT(report.value(key, 0.0), 0.0) << key;
  return report;
}

TEST(BenchStep, PrintsSpeedByClassOfOpAndMemoryBesideItsPrediction) {
  const Json r = run(1, "step",
                     {"tokens_per_second", "step_duration_seconds", "flops_per_second", "peak_flops_per_second",
                      "peak_fraction", "copy_bytes_per_second", "predicted_bytes"});
  double share = 0;
  bool product = false;
  for (const Json& row : r.at("op_classes")) {
    share += row.at("share_percent").get<double>();
    product = product || (row.at("class") == "gemm" && row.at("roofline_percent").get<double>() > 0);
  }
  EXPECT_NEAR(share, 100, 1);
  EXPECT_TRUE(product) << r.at("op_classes");
  EXPECT_GT(r.at("ops").size(), 30u);
  EXPECT_TRUE(!std::filesystem::exists("/proc/self/clear_refs") || r.contains("measured_bytes"));
}

TEST(BenchStep, PrintsItsSpeedAloneWhereThatIsAskedAndToAFileToo) {
  const TempDir dir;
  const Json r = run(1, "step", {"tokens_per_second", "step_duration_seconds"},
                     "--speed-only --output " + (dir / "step.json").string());
  EXPECT_EQ(r.size(), 3u);
  EXPECT_EQ(Json::parse(read_file(dir / "step.json"), nullptr, false), r);
}

TEST(BenchResidual, PrintsBothKindsOverAPlainResidual) {
  run(1, "residual", {"mhc_over_plain", "mhc_over_plain_gradients", "mhc_single_pass_over_plain"});
}

TEST(BenchCheckpoint, PrintsItsSpeedOverAPlainWriteAndLeavesNothing) {
  const TempDir dir;
  run(1, "checkpoint", {"checkpoint_over_plain_write", "blocked_over_write", "bytes", "copy_duration_seconds"},
      "--directory " + dir.path().string());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(BenchLoader, PrintsItsSpeedOverTheStepAndOverAPlainRead) {
  const TempDir dir;
  run(1, "loader", {"loader_tokens_per_second", "loader_over_step", "loader_over_plain_read", "bytes_per_token"},
      "--directory " + dir.path().string());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(BenchRanks, PrintsConnectedOverUnconnectedRanksAndWhatTheyWaitFor) {
  const Json r = run(2, "ranks", {"connected_over_unconnected", "reduction_alone_seconds", "tokens_per_second"});
  bool reduces = false;
  for (const Json& row : r.at("communication")) reduces = reduces || row.at("operation") == "reduce_scatter_v";
  EXPECT_TRUE(reduces);
}

// The values of a column in the rows of a layout.
std::vector<Json> values_of(const Json& table, const std::string& layout, const std::string& column) {
  std::vector<Json> values;
  for (const Json& row : table) {
    if (row.at("layout") == layout) values.push_back(row.at(column));
  }
  return values;
}

TEST(BenchLayout, ComparesLayoutsOfTheRanksWithReplicas) {
  const Json r = run(2, "layout", {"tp_over_dp", "ep_over_dp", "tp_times_activations"});
  EXPECT_EQ(r.at("layouts").size(), 3u);
  EXPECT_EQ(r.at("layouts")[0].at("layout"), "dp2");
  EXPECT_EQ(r.at("layouts")[0].at("over_dp"), 1);
  EXPECT_EQ(r.value("difference_from_plan_bytes", -1.0), 0);
  EXPECT_NEAR(r.value("tp_times_activations", 0.0), 1, 0.05);
  // What a layout exchanges inside layers, in the group of the axis.
  const std::vector<Json> groups = values_of(r.at("communication"), "tp2", "group");
  EXPECT_TRUE(std::count(groups.begin(), groups.end(), "tp")) << r.at("communication");
  for (const char* layout : {"dp2", "tp2", "dp2.ep2"}) {
    const std::vector<Json> classes = values_of(r.at("op_classes"), layout, "class");
    EXPECT_TRUE(std::count(classes.begin(), classes.end(), "gemm")) << layout;
    EXPECT_FALSE(std::count(classes.begin(), classes.end(), "other")) << layout;
    EXPECT_GE(values_of(r.at("memory"), layout, "planned_mb").size(), 7u);
  }
}

TEST(BenchLayout, TakesTheLayoutsThatAreNamed) {
  const Json r = run(4, "layout", {"tokens_per_second_of_dp"}, "--layouts tp2.ep4,tp4");
  std::vector<std::string> names;
  for (const Json& row : r.at("layouts")) names.push_back(row.at("layout"));
  EXPECT_EQ(names, (std::vector<std::string>{"dp4", "tp2.dp2.ep4", "tp4"}));
  EXPECT_TRUE(r.contains("tp_over_dp"));
  EXPECT_FALSE(r.contains("ep_over_dp"));
}

// Nothing hangs here; the rounds merely take longer than the deadline.
TEST(BenchLayout, RefusesWhatItCannotMeasureBeforeAnyWork) {
  const ProgramResult layouts = run_program(command(2, "layout", "--layouts tp3,foo"));
  EXPECT_EQ(layouts.exit_code, 2);
  EXPECT_THAT(layouts.output, testing::AllOf(HasSubstr("layout tp3"), HasSubstr("'foo' is not an axis")));
  const ProgramResult output = run_program(command(2, "layout", "--layouts tp2 --output /dev/null"));
  EXPECT_EQ(output.exit_code, 2);
  EXPECT_THAT(output.output, HasSubstr("--output is /dev/null, which is no regular file"));
  const ProgramResult device = run_program(command(2, "layout", "--layouts tp2 --set run.device=reference"));
  EXPECT_EQ(device.exit_code, 2);
  EXPECT_THAT(device.output, HasSubstr("bench layout measures the CPU, but run.device is reference"));
  const std::string line = command(1, "layout", "--rounds 1 --layouts tp2");
  const ProgramResult ranks = run_pair(line, line + ",ep2");
  EXPECT_EQ(ranks.exit_code, 4);
  EXPECT_THAT(ranks.output, testing::AllOf(HasSubstr("the ranks do not run the same program"), HasSubstr("'tp2,ep2'")));
}

TEST(BenchCollectives, EndsAtItsDeadlineWithAMessage) {
  const ProgramResult late =
      run_program(mpirun(2) + BIRKHOFF_PROGRAM + " bench collectives --rounds 1000000 --timeout 1");
  EXPECT_EQ(late.exit_code, 4) << late.output;
  EXPECT_THAT(late.output, HasSubstr("error: bench collectives did not end within 1 s (--timeout: raise it if that is "
                                     "too short): rank 0 of 2: "));
}

TEST(BenchCollectives, PrintsTheSpeedOfEachOperationOverThatOfMpi) {
  const Json r =
      run(2, "collectives",
          {"all_reduce_over_mpi", "reduce_scatter_v_over_mpi", "all_gather_v_over_mpi", "all_to_all_v_over_mpi"});
  EXPECT_EQ(r.at("collectives").size(), 12u);
  for (const Json& row : r.at("collectives")) EXPECT_GT(row.at("speed_over_mpi").get<double>(), 0) << row;
}

TEST(BenchBusy, PrintsTheStepAsShippedOverOneWhoseWaitsSleep) {
  const std::vector<std::string> keys{"shipped_over_sleeping", "step_duration_seconds",
                                      "sleeping_step_duration_seconds"};
  run(1, "busy", keys, "--set run.threads=2");
  const Json ranks = run(2, "busy", keys);
  EXPECT_EQ(ranks.size(), 4u);
}

TEST(Bench, RefusesTheWrongNumberOfRanksAndSaysHowToStart) {
  const ProgramResult one = run_program(command(1, "ranks"));
  EXPECT_EQ(one.exit_code, 2);
  EXPECT_THAT(one.output, HasSubstr("start it with mpirun -n 2"));
  const ProgramResult alone = run_program(command(1, "collectives"));
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_THAT(alone.output, HasSubstr("start it with mpirun -n 2"));
  const ProgramResult single = run_program(command(1, "layout"));
  EXPECT_EQ(single.exit_code, 2);
  EXPECT_THAT(single.output, HasSubstr("start it with mpirun -n 2"));
  const ProgramResult three = run_program(command(2, "layout", "--layouts tp3"));
  EXPECT_EQ(three.exit_code, 2);
  EXPECT_THAT(three.output, HasSubstr("does not divide the 2 ranks"));
  const ProgramResult two = run_program(command(2, "step"));
  EXPECT_EQ(two.exit_code, 2);
  EXPECT_THAT(two.output, HasSubstr("start it without mpirun"));
}

TEST(Bench, ListsItsScenarios) {
  const ProgramResult help = run_program(std::string(BIRKHOFF_PROGRAM) + " bench --help");
  for (const char* name : {"step", "residual", "checkpoint", "loader", "ranks", "layout", "collectives", "busy"})
    EXPECT_THAT(help.output, HasSubstr(name));
}

}  // namespace
}  // namespace birkhoff::test
