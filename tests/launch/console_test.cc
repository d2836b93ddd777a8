#include "launch/console.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trainer/metrics/format.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Record step_record(int64_t step) {
  return {"step",
          step,
          {{"loss", 3.25},
           {"tokens_total", int64_t{4096} * step, MetricKind::counter},
           {"tokens_per_second", 1234.4},
           {"expert_load_ratio", 1.5, MetricKind::gauge, "stat=max"}}};
}

std::string content(std::FILE* file) {
  std::rewind(file);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  return text;
}

TEST(Format, WritesOneGreppableLine) {
  EXPECT_EQ(text_line(step_record(12), 600),
            "step: 12/600 | loss: 3.25 | tokens_total: 49152 | tokens_per_second: 1234.4 | expert_load_ratio.max: 1.5");
  EXPECT_EQ(text_line({"eval", 3, {{"loss", std::nan("")}}}, 6), "eval step: 3/6 | loss: nan");
}

TEST(Format, WritesValidJsonEvenOfWhatIsNotFinite) {
  const auto json = nlohmann::json::parse(json_line({"step", 7, {{"loss", INFINITY}, {"grad_norm", 0.1}}}, 12.3456));
  EXPECT_TRUE(json.at("loss").is_null());
  EXPECT_EQ(json.at("grad_norm"), 0.1);
  EXPECT_EQ(json.at("step"), 7);
  EXPECT_EQ(json.at("event"), "step");
  EXPECT_EQ(json.at("time"), 12.346);
}

TEST(Console, PrintsEveryIntervalAndTheLastStepAndOtherEvents) {
  std::FILE* lines = std::tmpfile();
  Console console({lines, nullptr, LogFormat::text, 5, 2});
  for (int64_t step = 1; step <= 5; ++step) console.publish({"step", step, {}});
  console.publish({"eval", 3, {}});
  EXPECT_EQ(content(lines), "step: 2/5\nstep: 4/5\nstep: 5/5\neval step: 3/5\n");
  std::fclose(lines);
}

TEST(Format, LeavesOutOfTheLineWhatOnlyFilesShow) {
  const Record record{"step",
                      7,
                      {{"loss", 2.5},
                       {"balance_loss", 0.5, MetricKind::gauge, "", Shown::logs},
                       {"rank_heartbeat_timestamp_seconds", 1.5, MetricKind::gauge, "rank=1", Shown::served}}};
  EXPECT_EQ(text_line(record, 9), "step: 7/9 | loss: 2.5");
  EXPECT_EQ(json_line(record, 1), R"({"event":"step","step":7,"time":1,"loss":2.5,"balance_loss":0.5})");
}

TEST(Console, DrawsABarWithTimesAndRate) {
  std::FILE* both = std::tmpfile();
  Console(ConsoleOptions{both, both, LogFormat::text, 600, 1000}).publish(step_record(300));
  EXPECT_THAT(content(both), AllOf(HasSubstr("[============            ] 300/600  elapsed 0:0"), HasSubstr("  ETA 0:0"),
                                   HasSubstr("  1234 tokens/s  loss 3.25")));
  std::fclose(both);
}

// What a terminal with endless lines shows: a carriage return goes to the start of the line, and the escape sequence
// after it clears the line.
std::string shown_on_terminal(const std::string& text) {
  std::string shown;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 4, "\r\x1b[K") == 0) {
      shown.resize(shown.rfind('\n') + 1);
      i += 3;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

TEST(Console, KeepsTheBarBelowLinesAndMessages) {
  std::FILE* both = std::tmpfile();
  auto console = std::make_unique<Console>(ConsoleOptions{both, both, LogFormat::text, 4, 2});
  console->log("before");
  for (int64_t step = 1; step <= 3; ++step) console->publish({"step", step, {}});
  console->log("a message");
  console->publish({"eval", 3, {}});
  const std::string shown = shown_on_terminal(content(both));
  EXPECT_THAT(shown, StartsWith("before\nstep: 2/4\na message\neval step: 3/4\n[=="));
  EXPECT_THAT(shown, HasSubstr("] 3/4"));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '['), 1) << shown;
  console.reset();  // clears the bar
  std::fclose(both);
}

// Checks the standard error of a child process. This test is its parent and plays the launcher.
class Terminal : public testing::TestWithParam<bool> {};

TEST_P(Terminal, IsFoundBehindALauncher) {
  const bool launcher_has_terminal = GetParam();
  const int controller = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(controller, 0);
  ASSERT_EQ(grantpt(controller), 0);
  ASSERT_EQ(unlockpt(controller), 0);
  const int terminal = open(ptsname(controller), O_RDWR | O_NOCTTY), file = open("/dev/null", O_WRONLY);
  ASSERT_GE(terminal, 0);
  const int kept = dup(2);
  dup2(launcher_has_terminal ? terminal : file, 2);
  const pid_t child = fork();
  if (child == 0) {
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    dup2(launcher_has_terminal ? file : terminal, 2);  // the opposite of the launcher's
    _exit(leads_to_terminal(stderr));
  }
  int status = 0;
  waitpid(child, &status, 0);
  dup2(kept, 2);
  for (int fd : {kept, terminal, file, controller}) close(fd);
  EXPECT_EQ(WEXITSTATUS(status), launcher_has_terminal);
}

INSTANTIATE_TEST_SUITE_P(Launchers, Terminal, testing::Bool());

TEST(Console, StartedByHandAsksItsOwnStream) {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) unsetenv(name);
  std::FILE* plain = std::tmpfile();
  EXPECT_FALSE(leads_to_terminal(plain));
  std::fclose(plain);
  const int controller = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_EQ(grantpt(controller), 0);
  ASSERT_EQ(unlockpt(controller), 0);
  std::FILE* terminal = std::fopen(ptsname(controller), "w");
  ASSERT_NE(terminal, nullptr);
  EXPECT_TRUE(leads_to_terminal(terminal));
  std::fclose(terminal);
  close(controller);
}

TEST(Console, OutlivesAFullDisk) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  Console console({full, nullptr, LogFormat::text, 5, 1});
  console.publish(step_record(1));
  console.publish(step_record(2));
  EXPECT_EQ(std::ferror(full), 0);
  std::fclose(full);
}

}  // namespace
}  // namespace birkhoff
