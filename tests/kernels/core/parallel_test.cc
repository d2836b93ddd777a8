#include "kernels/core/cpu/parallel.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace birkhoff::test {
namespace {

class ParallelFor : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(before_); }

 private:
  int before_ = num_threads();
};
INSTANTIATE_TEST_SUITE_P(Threads, ParallelFor, testing::Values(1, 2, 5));

TEST_P(ParallelFor, VisitsEveryElementOnce) {
  for (const int64_t count : {0, 1, 4, 7, 1000}) {
    std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    for (const auto& v : visits) EXPECT_EQ(v, 1);
  }
}

TEST_P(ParallelFor, MakesNoMoreRangesThanThereAreGrains) {
  std::atomic<int> calls = 0;
  parallel_for(100, 60, [&](int64_t, int64_t) { ++calls; });
  EXPECT_LE(calls, 2);
  calls = 0;
  parallel_for(100, 100, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(end - begin, 100);
    ++calls;
  });
  EXPECT_EQ(calls, 1);
}

TEST_P(ParallelFor, RethrowsWhatABodyThrewAndRunsOn) {
  for (int64_t culprit : {0, 499, 999}) {
    try {
      parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
        if (begin <= culprit && culprit < end) throw std::out_of_range("element " + std::to_string(culprit));
      });
      FAIL() << "nothing was thrown";
    } catch (const std::out_of_range& error) {
      EXPECT_EQ(error.what(), "element " + std::to_string(culprit));
    }
  }
  EXPECT_THROW(parallel_for(1000, 1, [](int64_t, int64_t) { throw std::runtime_error("all"); }), std::runtime_error);
  std::atomic<int64_t> sum = 0;
  parallel_for(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
  EXPECT_EQ(sum, 1000);
}

TEST_P(ParallelFor, InsideItselfRunsOnTheCallingThread) {
  std::atomic<int> inner = 0, outer = 0;
  parallel_for(8, 1, [&](int64_t, int64_t) {
    const bool alone = num_threads() == 1;
    parallel_for(8, 1, [&](int64_t begin, int64_t end) {
      if (alone) {
        EXPECT_EQ(end - begin, 8);
      }
      ++inner;
    });
    ++outer;
  });
  EXPECT_EQ(inner, outer);
}

}  // namespace
}  // namespace birkhoff::test
