// Compares docs/metrics.md with what a run serves and logs.
#include <csignal>
#include <map>
#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/e2e/training.h"
#include "tests/support/scrape.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

struct Documented {
  std::string kind, meaning;
  bool in_step_line = false;
};

std::map<std::string, Documented> documented() {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  std::istringstream lines(read_file(std::string(source ? source : ".") + "/docs/metrics.md"));
  const std::regex row(R"(\| `birkhoff_(\w+)(\{[\w,.]+\})?`( \*)? \| ([a-z ]+) \| (.*) \|)");
  std::map<std::string, Documented> all;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, row)) all[match[1]] = {match[4], match[5], match[3].matched};
  }
  return all;
}

// The output of a run with two ranks: what it serves while it evaluates and saves, its log, and its files.
class Watched : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const TempDir dir;
    Background run(
        Training::shared().command(2, dir / "run",
                                   "--set run.steps=100000 --set checkpoint.interval=3 --set eval.interval=2 "
                                   "--set metrics.prometheus_port=0"),
        dir / "log");
    EXPECT_TRUE(run.shows("eval step: 4/", 120)) << run.output();
    EXPECT_TRUE(run.shows("checkpoint step: 3/", 60)) << run.output();
    const std::string output = run.output();
    std::smatch match;
    ASSERT_TRUE(std::regex_search(output, match, std::regex("metrics: http://127.0.0.1:(\\d+)/metrics\n")));
    served = scrape(std::stoi(match[1]));
    run.signal(SIGUSR1);
    EXPECT_EQ(run.wait(60), 75) << run.output();
    log = run.output();
    jsonl = read_file(dir / "run" / "metrics.jsonl");
  }
  static std::string served, log, jsonl;
};
std::string Watched::served, Watched::log, Watched::jsonl;

TEST_F(Watched, ServesEveryMetricOfTheDocumentationAndNoOther) {
  std::map<std::string, std::string> kinds;
  std::istringstream lines(served);
  const std::regex type(R"(# TYPE birkhoff_(\w+) (\w+)\r?)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, type)) kinds[match[1]] = match[2];
  }
  ASSERT_GT(kinds.size(), 20u) << served;
  const auto documentation = documented();
  for (const auto& [name, kind] : kinds) {
    const auto found = documentation.find(name);
    ASSERT_NE(found, documentation.end()) << name << " is not in docs/metrics.md";
    EXPECT_EQ(found->second.kind, kind) << name;
  }
  for (const auto& [name, d] : documentation) {
    EXPECT_EQ(kinds.contains(name), d.kind != "logs only") << name;
  }
}

TEST_F(Watched, LogsEveryMetricOfTheDocumentationAndNoOther) {
  std::set<std::string> logged;
  std::istringstream lines(jsonl);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    const std::string event = json.at("event"), prefix = event == "step" ? "" : event + "_";
    for (const auto& item : json.items()) {
      const std::string key = item.key().substr(0, item.key().find('.'));
      if (key != "event" && key != "step" && key != "time") logged.insert(prefix + key);
    }
  }
  for (const auto& [name, d] : documented()) {
    EXPECT_EQ(logged.erase(name) > 0, d.meaning.find("served only") == std::string::npos) << name;
  }
  EXPECT_THAT(logged, testing::IsEmpty()) << "not in docs/metrics.md";
}

TEST_F(Watched, ShowsInALineWhatTheDocumentationMarks) {
  std::set<std::string> shown;
  const std::regex line("(step|eval step|checkpoint step): \\d+/100000 \\| (.*)");
  std::istringstream lines(log);
  for (std::string text; std::getline(lines, text);) {
    std::smatch match;
    if (!std::regex_match(text, match, line)) continue;
    const std::string event = match[1], prefix = event == "step" ? "" : event.substr(0, event.find(' ')) + "_";
    std::istringstream fields(match[2]);
    for (std::string word; fields >> word;) {
      if (word.ends_with(":")) shown.insert(prefix + word.substr(0, word.find_first_of(".:")));
    }
  }
  for (const auto& [name, d] : documented()) EXPECT_EQ(shown.contains(name), d.in_step_line) << name;
}

TEST_F(Watched, HasTheExpectedLabelsAndValues) {
  for (const char* sample : {"mtp_loss{depth=\"1\"}",
                             "expert_load_ratio{stat=\"max\"}",
                             "expert_load_ratio{stat=\"p95\"}",
                             "expert_load_ratio{stat=\"min\"}",
                             "skipped_steps_total{reason=\"nonfinite\"} 0",
                             "skipped_steps_total{reason=\"spike\"} 0",
                             "checkpoint_duration_seconds{phase=\"copy\"}",
                             "checkpoint_duration_seconds{phase=\"write\"}",
                             "checkpoint_duration_seconds{phase=\"blocked\"}",
                             "rank_heartbeat_timestamp_seconds{dp=\"0\",rank=\"0\"}",
                             "rank_heartbeat_timestamp_seconds{dp=\"1\",rank=\"1\"}",
                             "layout_degree{axis=\"dp\"} 2",
                             "layout_degree{axis=\"ep\"} 1",
                             "memory_bytes{kind=\"resident\"}",
                             "memory_bytes{kind=\"peak\"}",
                             "hyper_gain_ratio{direction=\"forward\"}",
                             "comm_wait_seconds_total{group=\"dp\"}",
                             "comm_wait_seconds{group=\"dp\"}",
                             "bad_samples_total 0",
                             "batch_sequences 12",
                             "sequence_tokens 32"}) {
    EXPECT_THAT(served, HasSubstr(std::string("\nbirkhoff_") + sample)) << served;
  }
}

TEST_F(Watched, MeasuresInBaseUnits) {
  const auto value = [&](const std::string& sample) {
    const size_t at = served.find("\nbirkhoff_" + sample + " ");
    EXPECT_NE(at, std::string::npos) << sample;
    return at == std::string::npos ? 0 : std::stod(served.substr(at + 11 + sample.size()));
  };
  EXPECT_GT(value("memory_bytes{kind=\"peak\"}"), 1e6);
  EXPECT_GE(value("memory_bytes{kind=\"peak\"}"), value("memory_bytes{kind=\"resident\"}"));
  EXPECT_GT(value("checkpoint_last_success_timestamp_seconds"), 1.7e9);
  EXPECT_GT(value("rank_heartbeat_timestamp_seconds{dp=\"1\",rank=\"1\"}"), 1.7e9);
  EXPECT_GT(value("comm_wait_seconds_total{group=\"dp\"}"), 0);
  // At least the gradients of 100 thousand parameters, in f32, of which a rank of two sends one half.
  EXPECT_GT(value("comm_sent_bytes{group=\"dp\"}"), 1e5 * 4 / 2);
  // 12 sequences of 32 tokens a step.
  EXPECT_EQ(value("tokens_total"), 12 * 32 * value("step_duration_seconds_count"));
  EXPECT_GT(value("model_flops_per_second"), 1e5 * value("tokens_per_second")) << "of 100 thousand parameters";
}

}  // namespace
}  // namespace birkhoff::test
