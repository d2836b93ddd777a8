#include "trainer/metrics/console.h"

#include <cmath>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>
#include <unistd.h>

#include "trainer/metrics/format.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

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
  Console console({lines, nullptr, LineFormat::text, 5, 2});
  for (int64_t step = 1; step <= 5; ++step) console.publish({"step", step, {}});
  console.publish({"eval", 3, {}});
  EXPECT_EQ(content(lines), "step: 2/5\nstep: 4/5\nstep: 5/5\neval step: 3/5\n");
  std::fclose(lines);
}

TEST(Console, DrawsTheBarOnATerminalOnly) {
  std::FILE* lines = std::tmpfile();
  std::FILE* plain = std::tmpfile();
  Console(ConsoleOptions{lines, plain, LineFormat::json, 5, 1}).publish(step_record(1));
  EXPECT_EQ(content(plain), "");
  EXPECT_EQ(nlohmann::json::parse(content(lines)).at("expert_load_ratio.max"), 1.5);

  const int controller = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(controller, 0);
  ASSERT_EQ(grantpt(controller), 0);
  ASSERT_EQ(unlockpt(controller), 0);
  std::FILE* terminal = std::fopen(ptsname(controller), "w");
  ASSERT_NE(terminal, nullptr);
  Console(ConsoleOptions{lines, terminal, LineFormat::text, 600, 1}).publish(step_record(300));
  // A terminal hands over what was written in pieces of its own choice.
  std::string text;
  char part[1024];
  while (text.find("loss 3.25") == std::string::npos) {
    const ssize_t bytes = read(controller, part, sizeof part);
    ASSERT_GT(bytes, 0) << text;
    text.append(part, static_cast<size_t>(bytes));
  }
  EXPECT_THAT(text, AllOf(HasSubstr("[============            ] 300/600  elapsed 0:0"), HasSubstr("  ETA 0:0"),
                          HasSubstr("  1234 tokens/s  loss 3.25")));
  std::fclose(terminal);
  close(controller);
  std::fclose(lines);
  std::fclose(plain);
}

TEST(Console, OutlivesAFullDisk) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  Console console({full, nullptr, LineFormat::text, 5, 1});
  console.publish(step_record(1));
  console.publish(step_record(2));
  EXPECT_EQ(std::ferror(full), 0);
  std::fclose(full);
}

}  // namespace
}  // namespace birkhoff
