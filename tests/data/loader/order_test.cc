#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/loader/cursor.h"
#include "data/loader/mixture.h"
#include "data/loader/permutation.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"

namespace birkhoff {
namespace {

TEST(Permutation, VisitsEachIndexOnceForAnyCount) {
  for (const int64_t count : {1, 2, 3, 4, 5, 17, 64, 65, 1000, 4097}) {
    const Permutation order(11, 5, count);
    std::vector<bool> seen(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t j = order(i);
      ASSERT_TRUE(j >= 0 && j < count);
      ASSERT_FALSE(seen[static_cast<size_t>(j)]);
      seen[static_cast<size_t>(j)] = true;
    }
  }
}

TEST(Permutation, DependsOnSeedAndKeyAndScatters) {
  const Permutation a(1, 1, 1000), b(2, 1, 1000), c(1, 2, 1000);
  int same_b = 0, same_c = 0, neighbors = 0;
  for (int64_t i = 0; i < 999; ++i) {
    same_b += a(i) == b(i);
    same_c += a(i) == c(i);
    neighbors += std::abs(a(i) - a(i + 1)) <= 1;
  }
  EXPECT_LT(same_b, 12);
  EXPECT_LT(same_c, 12);
  EXPECT_LT(neighbors, 15);
}

TEST(Mixture, EverySourceIsWithinOneOfItsQuotaAfterEverySequence) {
  const Philox random(3, 3);
  std::vector<std::vector<double>> cases{{1},       {1, 1},          {0.7, 0.3},          {1, 0, 2},
                                         {1, 1, 1}, {1e-6, 1, 1e-3}, {5, 4, 3, 2, 1, 0.5}};
  for (uint64_t c = 0; c < 20; ++c) {
    std::vector<double> weights(2 + c);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::pow(random.uniform(100 * c + i), 3);
    cases.push_back(weights);
  }
  for (const auto& weights : cases) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const Mixture mixture(weights);
    std::vector<int64_t> counts(weights.size());
    for (int64_t k = 1; k <= 3000; ++k) {
      ++counts[static_cast<size_t>(mixture.next(counts))];
      for (size_t i = 0; i < weights.size(); ++i)
        ASSERT_LT(std::abs(static_cast<double>(counts[i]) - weights[i] / sum * static_cast<double>(k)), 1.0)
            << "source " << i << " of " << weights.size() << " after " << k;
    }
  }
}

TEST(Mixture, RefusesInvalidMixtures) {
  EXPECT_THROW(Mixture({}), UserError);
  EXPECT_THROW(Mixture({0, 0}), UserError);
  EXPECT_THROW(Mixture({1, -1}), UserError);
  EXPECT_THROW(Mixture({1, std::nan("")}), UserError);
  EXPECT_THROW(Mixture({std::numeric_limits<double>::infinity()}), UserError);
  const Mixture zero({0, 1, 0});
  EXPECT_EQ(zero.next({0, 5, 0}), 1);
}

TEST(Cursor, IsUnderAKibibyteForSixteenSourcesAndReadsBack) {
  Cursor cursor{0xfedcba9876543210u, 0xfedcba9876543211u, int64_t{1} << 40, int64_t{1} << 50, int64_t{1} << 39, {}};
  for (uint32_t i = 0; i < 16; ++i) cursor.sources.push_back({~i, 99, 123456789012, 12345678, 123456789012});
  const std::string text = to_string(cursor);
  EXPECT_LT(text.size(), 1024u);
  EXPECT_EQ(parse_cursor(text), cursor);
}

TEST(Cursor, RefusesAnythingElse) {
  for (const char* text : {"", "{}", "[1]", R"({"v": 2})", R"({"v":1,"order":"zz","sequences":1})",
                           R"({"v":1,"order":"00","sequences":1,"tokens":1,"mixture_start":0,"sources":[[1]]})"})
    EXPECT_THROW(parse_cursor(text), DataError) << text;
}

}  // namespace
}  // namespace birkhoff
