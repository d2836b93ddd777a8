#include "trainer/metrics/prometheus.h"

#include <chrono>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "kernels/core/error.h"
#include "tests/support/scrape.h"
#include "trainer/metrics/page_server.h"

namespace birkhoff {
namespace {

using test::scrape;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// As much thread-local memory as CUDA's libraries use. The system takes it from the stack of every thread, so a server
// that asks for stacks of 100 KB could not start its thread.
thread_local volatile char of_each_thread[96 << 10];

// One server for all tests.
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

TEST_F(PrometheusTest, ServesBesideLibrariesOfMuchThreadLocalMemory) {
  of_each_thread[sizeof of_each_thread - 1] = 1;  // keeps it in the program
  EXPECT_THAT(scrape(sink->port()), HasSubstr("200 OK"));
}

TEST_F(PrometheusTest, ListensOnTheLoopbackAddressOnly) {
  EXPECT_THAT(scrape(sink->port()), Not(IsEmpty()));
  EXPECT_THAT(scrape(sink->port(), 0x7f000002), IsEmpty());  // 127.0.0.2 is this host too
}

// The server would drop the idle clients only after a day, so a page that waited for them would never come.
TEST(PageServer, AClientThatSaysNothingKeepsNobodyWaiting) {
  PageServerOptions options;
  options.page = [] { return std::string("page"); };
  options.client_timeout_s = 86400;
  const auto server = serve_page(std::move(options));
  std::vector<std::unique_ptr<test::IdleClient>> idle;
  for (int i = 0; i < 100; ++i)
    idle.push_back(std::make_unique<test::IdleClient>(server->port(), i % 2 ? "GET /met" : ""));
  EXPECT_THAT(scrape(server->port()), HasSubstr("200 OK"));
}

TEST(PageServer, DropsAClientThatSaysNothingAndThenTakesTheNext) {
  PageServerOptions options;
  options.page = [] { return std::string("page"); };
  options.client_timeout_s = 1;
  options.max_clients = 1;
  const auto server = serve_page(std::move(options));
  const test::IdleClient idle(server->port(), "GET");
  EXPECT_THAT(scrape(server->port()), HasSubstr("200 OK"));
  EXPECT_EQ(idle.answer(), "");
}

// Whatever clients do, the run must be able to open its files.
TEST(PageServer, LeavesMostDescriptorsToTheRun) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  PageServerOptions options;
  options.page = [] { return std::string("page"); };
  options.client_timeout_s = 1;
  const auto server = serve_page(options);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto open_files = [] { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); };
  constexpr int kClients = 12;
  const auto without = open_files();
  std::vector<std::unique_ptr<test::IdleClient>> idle;
  for (int i = 0; i < kClients; ++i) idle.push_back(std::make_unique<test::IdleClient>(server->port()));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // time for the server to accept as many as it will
  EXPECT_LE(open_files(), without + kClients + 64 / 8);
  EXPECT_THAT(scrape(server->port()), HasSubstr("page"));
}

TEST(PageServer, AnswersOnlyExpectedRequests) {
  PageServerOptions options;
  options.page = [] { return std::string(300000, 'x'); };
  const auto server = serve_page(std::move(options));
  const auto answer = [&](const std::string& request) {
    return test::IdleClient(server->port(), request + "\r\nHost: localhost\r\n\r\n").answer();
  };
  EXPECT_THAT(answer("GET /metrics?a=b HTTP/1.0"), HasSubstr("200 OK"));
  EXPECT_GT(answer("GET /metrics HTTP/1.1").size(), 300000u);
  EXPECT_THAT(answer("HEAD /metrics HTTP/1.1"), AllOf(HasSubstr("300000"), Not(HasSubstr("xx"))));
  EXPECT_THAT(answer("GET / HTTP/1.1"), HasSubstr("404"));
  EXPECT_THAT(answer("POST /metrics HTTP/1.1"), HasSubstr("405"));
  // The library refuses these by itself, some of them by closing the connection.
  EXPECT_THAT(answer("nonsense"), Not(HasSubstr("xx")));
  EXPECT_THAT(answer(std::string(100000, 'a')), Not(HasSubstr("xx")));
}

TEST(PageServer, SurvivesAPageThatCannotBeMade) {
  PageServerOptions options;
  std::promise<std::string> logged;
  options.page = [n = 0]() mutable { return n++ ? std::string("page") : throw std::runtime_error("no numbers"); };
  options.log = [&](const std::string& message) { logged.set_value(message); };
  const auto server = serve_page(std::move(options));
  EXPECT_THAT(scrape(server->port()), AllOf(HasSubstr("500"), Not(HasSubstr("no numbers"))));
  EXPECT_EQ(logged.get_future().get(), "the page cannot be made: no numbers");
  EXPECT_THAT(scrape(server->port()), HasSubstr("200 OK"));
}

// A mistake of a client is warned of once, when the next record is published.
TEST_F(PrometheusTest, WarnsOnceOfWhatTheServerLogs) {
  testing::internal::CaptureStderr();
  const auto served = open_prometheus(0, {}, warn);
  ASSERT_NE(served, nullptr);
  for (int i = 0; i < 2; ++i) test::IdleClient(served->port(), "GET /metrics HTTP/9.9\r\n\r\n").answer();
  EXPECT_THAT(warnings, IsEmpty());
  for (int64_t step = 1; step <= 2; ++step) served->publish({"step", step, {}});
  EXPECT_THAT(warnings, ElementsAre(HasSubstr(concat("serving Prometheus on 127.0.0.1:", served->port(), ": "))));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(PrometheusTest, WarnsOfABusyPortAndDoesNotFail) {
  EXPECT_EQ(open_prometheus(sink->port(), {}, warn), nullptr);
  EXPECT_THAT(warnings, ElementsAre(AllOf(HasSubstr(concat("127.0.0.1:", sink->port())), HasSubstr("in use"))));
}

}  // namespace
}  // namespace birkhoff
