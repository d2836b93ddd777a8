#include "trainer/metrics/prometheus.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/support/scrape.h"

namespace birkhoff {
namespace {

using test::scrape;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// One server for all tests: stopping one takes the library up to two seconds.
struct PrometheusTest : testing::Test {
  static std::vector<std::string> warnings;
  static std::unique_ptr<PrometheusSink> sink;
  static void warn(const std::string& text) { warnings.push_back(text); }
  static void SetUpTestSuite() { sink = open_prometheus(0, {{"version", "1.2.3"}}, warn); }
  static void TearDownTestSuite() { sink.reset(); }
  void SetUp() override {
    ASSERT_NE(sink, nullptr);
    ASSERT_THAT(warnings, IsEmpty());
  }
  void TearDown() override { warnings.clear(); }
};
std::vector<std::string> PrometheusTest::warnings;
std::unique_ptr<PrometheusSink> PrometheusTest::sink;

TEST_F(PrometheusTest, ServesWhatWasPublished) {
  for (int64_t step = 1; step <= 2; ++step) {
    sink->publish({"step",
                   step,
                   {{"loss", 3.5 - double(step)},
                    {"tokens_total", int64_t{100} * step, MetricKind::counter},
                    {"step_duration_seconds", 0.25, MetricKind::histogram},
                    {"skipped_steps_total", int64_t{1}, MetricKind::counter, "reason=nonfinite"},
                    {"rank_heartbeat_timestamp_seconds", 17.5, MetricKind::gauge, "rank=3", Shown::served},
                    {"secret", 1.0, MetricKind::log_only}}});
  }
  sink->publish({"eval", 2, {{"loss", 4.5}}});
  EXPECT_THAT(scrape(sink->port()),
              AllOf(HasSubstr("200 OK"), HasSubstr("\nbirkhoff_loss 1.5\n"), HasSubstr("\nbirkhoff_tokens_total 200\n"),
                    HasSubstr("\nbirkhoff_step_duration_seconds_count 2\n"),
                    HasSubstr("\nbirkhoff_step_duration_seconds_sum 0.5\n"),
                    HasSubstr("\nbirkhoff_skipped_steps_total{reason=\"nonfinite\"} 1\n"),
                    HasSubstr("\nbirkhoff_eval_loss 4.5\n"), HasSubstr("\nbirkhoff_build_info{version=\"1.2.3\"} 1\n"),
                    HasSubstr("\nbirkhoff_rank_heartbeat_timestamp_seconds{rank=\"3\"} 17.5\n")));
  EXPECT_THAT(scrape(sink->port()), AllOf(Not(HasSubstr("secret")), HasSubstr("# TYPE birkhoff_tokens_total counter")));
}

TEST_F(PrometheusTest, ListensOnTheLoopbackAddressOnly) {
  EXPECT_THAT(scrape(sink->port()), Not(IsEmpty()));
  EXPECT_THAT(scrape(sink->port(), 0x7f000002), IsEmpty());  // 127.0.0.2 is this host too
}

TEST_F(PrometheusTest, WarnsOfABusyPortAndDoesNotFail) {
  EXPECT_EQ(open_prometheus(sink->port(), {}, warn), nullptr);
  EXPECT_THAT(warnings, ElementsAre(AllOf(HasSubstr(concat("127.0.0.1:", sink->port())), HasSubstr("in use"))));
}

}  // namespace
}  // namespace birkhoff
