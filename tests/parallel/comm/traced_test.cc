#include "parallel/comm/traced.h"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/parallel/comm/collective_suite.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

nlohmann::json records_of(const Trace& trace) { return nlohmann::json::parse(trace.to_json()); }

TEST(Traced, RecordsEveryOperationWithItsCallSite) {
  run_ranks(2, [](Communicator& inner) {
    Trace trace;
    const auto comm = make_traced(inner, trace);
    std::vector<float> v(3);
    auto work = comm->all_reduce(host_stream(), {v.data(), DType::f32, {3}}, Reduce::max);
    EXPECT_EQ(records_of(trace)[0]["state"], "started");
    wait_on_host(std::move(work));
    const auto half = comm->split(0, 0, "half");
    wait_on_host(half->broadcast(host_stream(), {v.data(), DType::f32, {2}}, 1));
    const auto records = records_of(trace);
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[0]["operation"], "all_reduce max of 3 f32");
    EXPECT_EQ(records[0]["group"], "world");
    EXPECT_EQ(records[0]["bytes"], 12);
    EXPECT_EQ(records[0]["state"], "done");
    EXPECT_THAT(records[0]["where"].get<std::string>(), HasSubstr("traced_test.cc:"));
    EXPECT_THAT(records[1]["operation"].get<std::string>(), HasSubstr("split"));
    EXPECT_EQ(records[2]["sequence"], 2);
    EXPECT_EQ(records[2]["group"], "half");
    EXPECT_EQ(records[2]["operation"], "broadcast of 2 f32 from rank 1");
  });
}

TEST(Traced, CountsWhatTheRankSendsByGroup) {
  run_ranks(2, [](Communicator& inner) {
    Trace trace;
    const auto comm = make_traced(inner, trace);
    std::vector<float> v(6);
    const Tensor all{v.data(), DType::f32, {6}};
    wait_on_host(comm->all_reduce(host_stream(), all));
    const auto group = comm->split(0, 0, "group");
    wait_on_host(group->broadcast(host_stream(), all, 1));
    const bool root = comm->rank() == 1;
    EXPECT_EQ(trace.sent_bytes(), (std::map<std::string, int64_t>{{"world", 6 * 4}, {"group", root ? 6 * 4 : 0}}));
  });
}

TEST(Traced, KeepsTheLastOnesOnly) {
  run_ranks(1, [](Communicator& inner) {
    Trace trace;
    const auto comm = make_traced(inner, trace);
    for (int i = 0; i < 100; ++i) comm->barrier();
    const auto records = records_of(trace);
    EXPECT_EQ(records.size(), Trace::kCapacity);
    EXPECT_EQ(records.front()["sequence"], 36);
    EXPECT_EQ(records.back()["sequence"], 99);
  });
}

TEST(Traced, SaysWhoIsMissing) {
  run_ranks(2, [](Communicator& inner) {
    Trace trace;
    const auto comm = make_traced(inner, trace);
    EXPECT_THAT(trace.waiting_for().text, HasSubstr("in no operation"));
    std::vector<float> v(3);
    const Tensor t{v.data(), DType::f32, {3}};
    if (comm->rank() == 0) {
      auto work = comm->all_reduce(host_stream(), t);
      EXPECT_THAT(trace.waiting_for().text,
                  HasSubstr("operation 0 of group world, all_reduce sum of 3 f32, missing rank 1"));
      EXPECT_TRUE(trace.waiting_for().waits.empty()) << "a pending operation is no wait";
      wait_on_host(comm->send(host_stream(), t, 1, 0));
      wait_on_host(std::move(work));
    } else {
      wait_on_host(comm->recv(host_stream(), t, 0, 0));
      wait_on_host(comm->all_reduce(host_stream(), t));
    }
  });
}

// The peer sends only when it has seen this rank wait.
TEST(Traced, KnowsWhomAReceiveWaitsFor) {
  Trace trace;
  run_ranks(2, [&](Communicator& inner) {
    float value = 0;
    const Tensor t{&value, DType::f32, {1}};
    if (inner.rank() == 1) return wait_on_host(make_traced(inner, trace)->recv(host_stream(), t, 0, 7));
    std::vector<Wait> waits;
    while (waits = trace.waiting_for().waits, waits.empty()) std::this_thread::yield();
    EXPECT_EQ(waits[0].missing, std::vector<int>{0});
    EXPECT_THAT(waits[0].text, HasSubstr("recv of 1 f32 from rank 0 tag 7"));
    wait_on_host(inner.send(host_stream(), t, 1, 7));
  });
}

TEST(Traced, SeesAWaitForAnOperationThatIsOlderThanItsRecords) {
  std::atomic<bool> seen = false;
  run_ranks(2, [&](Communicator& inner) {
    Trace trace;
    const auto comm = make_traced(inner, trace);
    std::vector<std::array<float, 3>> v(Trace::kCapacity + 1);
    std::vector<Communicator::Pending> works;
    const auto start_all = [&] {
      for (auto& data : v) works.push_back(comm->all_reduce(host_stream(), {data.data(), DType::f32, {3}}));
    };
    std::thread reader;
    if (comm->rank() == 0) {
      start_all();
      reader = std::thread([&] {
        for (int i = 0; i < 2000 && !seen; ++i) {
          const auto waits = trace.waiting_for().waits;
          seen = !waits.empty() && waits[0].missing == std::vector<int>{1};
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        EXPECT_TRUE(seen.exchange(true));
      });
    } else {
      while (!seen) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      start_all();
    }
    for (auto& work : works) wait_on_host(std::move(work));
    if (reader.joinable()) reader.join();
  });
}

TEST(Traced, MarksWhatFailed) {
  EXPECT_THROW(run_ranks(2,
                         [](Communicator& inner) {
                           Trace trace;
                           const auto comm = make_traced(inner, trace);
                           std::vector<float> v(3);
                           try {
                             wait_on_host(comm->all_reduce(host_stream(), {v.data(), DType::f32, {2 + comm->rank()}}));
                           } catch (const CommError&) {
                             EXPECT_EQ(records_of(trace)[0]["state"], "failed");
                             throw;
                           }
                         }),
               CommError);
}

TEST(Traced, ChangesNoResult) {
  run_ranks(3, [](Communicator& inner) {
    Trace trace;
    const auto comm = make_traced(inner, trace);
    check_all_reduce(*comm);
    check_concurrent_works(*comm);
    check_agree(*comm);
  });
}

}  // namespace
}  // namespace birkhoff
