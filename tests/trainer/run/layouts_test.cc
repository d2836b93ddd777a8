// A whole run at tp2.dp2.ep2, with its loader, schedules, evaluations and stops, reports what a run on one rank
// reports. The ranks are threads, and everything is computed in f64, so the reports agree closely from the first step
// to the last.
#include <atomic>
#include <cmath>
#include <map>

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "parallel/mesh/mesh.h"
#include "tests/e2e/training.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/run/run.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// "step 3 loss", "eval 4 tokens".
using Reports = std::map<std::string, double>;

class Recorder final : public MetricSink {
 public:
  explicit Recorder(Reports& reports) : reports_(reports) {}
  void publish(const Record& record) override {
    for (const Number& n : record.numbers) {
      const auto value = std::visit([](auto v) { return static_cast<double>(v); }, n.value);
      reports_[concat(record.event, ' ', record.step, ' ', n.key, n.label.empty() ? "" : " ", n.label)] = value;
    }
  }

 private:
  Reports& reports_;
};

struct RunSetup {
  MeshDegrees degrees = {.dp = 1};
  std::vector<std::string> overrides = {};
  std::function<void(int rank, RunReports& reports)> per_rank = {};
  int ranks() const { return degrees.tp * degrees.dp; }
};

struct Finished {
  Reports reports;
  std::vector<Outcome> outcomes;
  std::string log;
};

// A run without checkpoints but the last one.
Finished run(const std::filesystem::path& dir, const RunSetup& setup) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  std::vector<std::string> overrides = {concat("run.dir=", dir.string()),
                                        concat("data.tokenizer=", Training::shared().tokenizer().string()),
                                        concat("data.sources=[{path: ", Training::shared().data().string(), "}]"),
                                        concat("eval.data=", Training::shared().data().string()),
                                        concat("parallel.tp=", setup.degrees.tp),
                                        concat("parallel.ep=", setup.degrees.ep),
                                        "run.device=reference",
                                        "optimizer.eps=1e-3",
                                        "checkpoint.interval=0"};
  overrides.insert(overrides.end(), setup.overrides.begin(), setup.overrides.end());
  const LoadedConfig config = load_config(std::string(source ? source : ".") + "/configs/test.yaml", overrides);
  Finished finished{{}, std::vector<Outcome>(static_cast<size_t>(setup.ranks())), {}};
  Metrics metrics;
  metrics.add(std::make_unique<Recorder>(finished.reports));
  run_ranks(setup.ranks(), [&](Communicator& world) {
    WatchedWorld watched(world, {});
    RunReports reports;
    reports.log = [&](const std::string& line) { finished.log += line + '\n'; };
    if (world.rank() == 0) reports.metrics = &metrics;
    if (setup.per_rank) setup.per_rank(world.rank(), reports);
    finished.outcomes[static_cast<size_t>(world.rank())] = run_training(watched, config, reports);
  });
  return finished;
}

// Numbers that depend on time, on memory or on the layout itself.
bool is_of_the_run(const std::string& name) {
  for (const char* part : {"seconds", "per_second", "memory_bytes", "checkpoint ", "layout_degree"}) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

void expect_near(const Reports& actual, const Reports& expected) {
  size_t compared = 0;
  for (const auto& [name, value] : expected) {
    if (is_of_the_run(name)) continue;
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_NEAR(actual.at(name), value, 1e-9 * std::abs(value)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 100u);
}

// The ramp and the lengths change within the run, and the lengths are odd, so that tp2 pads the sequences.
class RunAtTp2Dp2Ep2 : public testing::TestWithParam<const char*> {};

TEST_P(RunAtTp2Dp2Ep2, ReportsWhatARunOnOneRankReports) {
  RunSetup setup;
  setup.overrides = {concat("model.recompute=", GetParam()),
                     "run.log_interval=1",
                     "batch.ramp={initial_size: 4, increment: 4, steps: 5}",
                     "batch.sequence_length=19",
                     "batch.length_schedule=[{until_step: 4, sequence_length: 13}]",
                     "eval.interval=3",
                     "eval.sequences=10",
                     "optimizer.spike={z_score: 0.5, window: 2, skip: true}"};
  const TempDir dir;
  const Finished one = run(dir / "one", setup);
  setup.degrees = {.tp = 2, .ep = 2, .dp = 2};
  const Finished four = run(dir / "four", setup);
  expect_near(four.reports, one.reports);
  const Reports& r = four.reports;
  EXPECT_GT(r.at("step 8 skipped_steps_total reason=spike"), 0) << "no step was a spike";
  EXPECT_LT(r.at("step 1 batch_sequences"), r.at("step 8 batch_sequences"));
  EXPECT_LT(r.at("step 4 sequence_tokens"), r.at("step 5 sequence_tokens"));
  EXPECT_GT(r.at("eval 3 tokens"), 0);
  EXPECT_GT(r.at("step 8 hyper_gain_ratio direction=forward"), 0);
  double tokens = 0;
  for (int step = 1; step <= 8; ++step) {
    const std::string name = concat("step ", step, ' ');
    const double of_step = r.at(name + "batch_sequences") * r.at(name + "sequence_tokens");
    tokens += of_step;
    EXPECT_EQ(r.at(name + "tokens_total"), tokens) << "each token once";
    EXPECT_NEAR(r.at(name + "tokens_per_second") * r.at(name + "step_duration_seconds"), of_step, 1e-6 * of_step);
  }
}
// Sanitizers make a run several times slower.
#ifdef BIRKHOFF_SANITIZED
const auto kRecomputations = testing::Values("block");
#else
const auto kRecomputations = testing::Values("none", "block", "mhc");
#endif
INSTANTIATE_TEST_SUITE_P(Recomputation, RunAtTp2Dp2Ep2, kRecomputations,
                         [](const auto& info) { return std::string(info.param); });

void expect_stopped(const Finished& finished, const std::filesystem::path& dir, int64_t step, const std::string& why) {
  EXPECT_THAT(finished.outcomes, testing::Each(Outcome::stopped));
  EXPECT_THAT(finished.log, HasSubstr(concat("stopped after step ", step, ' ', why)));
  EXPECT_THAT(list_checkpoints(dir / "checkpoints"), ElementsAre(step));
  EXPECT_EQ(manifest_of(dir, step).integers.at("trainer.steps"), step);
}

// A neighbor along tp or a replica gets the signal; the ranks ask once after the start-up and once after each step.
TEST(StopOfARunAtTp2Dp2Ep2, IsOneDecisionOfAllRanks) {
  for (const int asked : {1, 2}) {
    const TempDir dir;
    std::array<int, 4> polls{};
    const Finished finished =
        run(dir / "run", {.degrees = {.tp = 2, .ep = 2, .dp = 2},
                          .overrides = {"eval.interval=0"},
                          .per_rank = [&](int rank, RunReports& reports) {
                            int& count = polls[static_cast<size_t>(rank)];
                            reports.stop_requested = [rank, asked, &count] { return ++count > 3 && rank == asked; };
                          }});
    expect_stopped(finished, dir / "run", 3, "on request");
  }
}

// The clocks of the ranks differ: only rank 3 finds that its time is over.
TEST(TimeBudgetOfARunAtTp2Dp2Ep2, IsOneDecisionOfAllRanks) {
  const TempDir dir;
  const Finished finished = run(dir / "run", {.degrees = {.tp = 2, .ep = 2, .dp = 2},
                                              .overrides = {"eval.interval=0", "run.time_budget_s=100000"},
                                              .per_rank = [](int rank, RunReports& reports) {
                                                if (rank == 3) reports.started -= std::chrono::hours(100);
                                              }});
  expect_stopped(finished, dir / "run", 0, "by the time budget");
}

}  // namespace
}  // namespace birkhoff::test
