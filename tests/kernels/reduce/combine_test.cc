#include "kernels/reduce/combine.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff {
namespace {

using ::testing::ElementsAre;

template <class T>
std::vector<T> combined(Reduce reduce, const std::vector<std::vector<T>>& sources) {
  std::vector<const void*> pointers;
  for (const auto& source : sources) pointers.push_back(source.data());
  std::vector<T> out(sources[0].size());
  combine({out.data(), pointers, static_cast<int64_t>(out.size()), kDTypeOf<T>, reduce});
  return out;
}

TEST(Combine, AddsInTheOrderOfTheSources) {
  // (1e8 - 1e8) + 1 is 1; 1e8 + (-1e8 + 1) is 0 in f32.
  EXPECT_THAT(combined<float>(Reduce::sum, {{1e8f, 1}, {-1e8f, 1e8f}, {1, -1e8f}}), ElementsAre(1.0f, 0.0f));
}

TEST(Combine, RoundsBf16Once) {
  // If each addition were rounded on its own, 256 + 0.75 would become 256 again.
  const auto b = [](float v) { return bfloat16(v); };
  const auto out = combined<bfloat16>(Reduce::sum, {{b(256)}, {b(0.75f)}, {b(0.75f)}});
  EXPECT_EQ(static_cast<float>(out[0]), 258.0f);
}

TEST(Combine, KeepsNaNInMaxAndMin) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Reduce reduce : {Reduce::max, Reduce::min}) {
    const auto out = combined<float>(reduce, {{1, nan, 5}, {nan, 2, 6}, {3, 3, 4}});
    EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[1]));
    EXPECT_EQ(out[2], reduce == Reduce::max ? 6 : 4);
  }
}

TEST(Combine, WrapsIntegersAndTakesOneSourceOrNoElements) {
  EXPECT_THAT(combined<uint8_t>(Reduce::sum, {{200}, {100}}), ElementsAre(44));
  EXPECT_THAT(combined<int32_t>(Reduce::sum, {{7, -7}}), ElementsAre(7, -7));
  EXPECT_THAT(combined<int64_t>(Reduce::min, {{}, {}}), ElementsAre());
}

TEST(Combine, MayWriteOverASourceForAnyNumberOfThreads) {
  constexpr int64_t kCount = 300'001;
  std::vector<float> a(kCount), b(kCount), expected(kCount);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i)), b[i] = std::cos(static_cast<float>(i)), expected[i] = a[i] + b[i];
  }
  const int threads = num_threads();
  set_num_threads(2);
  const std::vector<const void*> sources{a.data(), b.data()};
  combine({b.data(), sources, kCount, DType::f32, Reduce::sum});
  set_num_threads(threads);
  EXPECT_EQ(b, expected);
}

}  // namespace
}  // namespace birkhoff
