// Attention where queries and keys are not the same tokens: each query sees a range of keys of its own.
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "tests/kernels/attention/attended.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

constexpr Device kReference{DeviceKind::reference};
const char* const kResults[] = {"o", "lse", "d_q", "d_k", "d_v"};

// The last token of each sequence.
Ranges decoding(const std::vector<int64_t>& lengths) {
  Ranges r;
  for (const int64_t length : lengths) {
    r.add(r.num_keys, r.num_keys + length);
    r.num_keys += length;
  }
  return r;
}

// A document whose tokens from `begin` to `end` see one another, in blocks of `size`.
Ranges media(int64_t tokens, int64_t begin, int64_t end, int64_t size) {
  Ranges r{.num_keys = tokens};
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t last = begin + (t - begin) / size * size + size;
    r.add(0, t < begin || t >= end ? t + 1 : std::min(last, end));
  }
  return r;
}

Ranges window(int64_t tokens, int64_t length) {
  Ranges r{.num_keys = tokens};
  for (int64_t t = 0; t < tokens; ++t) r.add(std::max<int64_t>(0, t + 1 - length), t + 1);
  return r;
}

// Every third query sees no key; its two numbers follow no order. No query sees the first seven keys, fifty in the
// middle, or the last two.
Ranges with_holes(int64_t queries) {
  Ranges r{.num_keys = queries + 59};
  for (int64_t t = 0; t < queries; ++t) {
    const bool late = t >= queries / 2;
    const int64_t skipped = late ? 57 : 7;
    if (t % 3 == 1) {
      r.add(t % 2 == 0 ? 1000000 : 3, t % 2 == 0 ? -5 : 3);
    } else {
      r.add(skipped + t, skipped + std::min(2 * t + 1, late ? queries : queries / 2));
    }
  }
  return r;
}

Ranges in_no_order(int64_t queries, int64_t keys) {
  Ranges r{.num_keys = keys};
  for (int64_t t = 0; t < queries; ++t) {
    const int64_t begin = 37 * t % keys;
    r.add(begin, std::min(keys, begin + 1 + 53 * t % 90));
  }
  return r;
}

Ranges nothing(int64_t queries, int64_t keys) {
  Ranges r{.num_keys = keys};
  for (int64_t t = 0; t < queries; ++t) r.add(0, 0);
  return r;
}

struct Named {
  const char* name;
  Heads heads;
  Ranges ranges;
};
std::vector<Named> all_kinds() {
  return {{"chunked_prefill", {4, 2, 24, 16}, chunked_prefill(301, 130)},
          {"prefill_of_one", {2, 2, 16, 8}, chunked_prefill(70, 1)},
          {"decoding", {6, 3, 33, 17}, decoding({5, 64, 1, 200, 63, 129})},
          {"media", {2, 1, 16, 24}, media(333, 40, 297, 100)},
          {"window", {3, 1, 8, 5}, window(400, 70)},
          {"with_holes", {2, 1, 7, 9}, with_holes(290)},
          {"in_no_order", {2, 2, 16, 16}, in_no_order(200, 350)},
          {"no_keys", {2, 1, 8, 4}, nothing(5, 0)},
          {"no_queries", {2, 1, 8, 4}, nothing(0, 70)},
          {"neither", {2, 1, 8, 4}, nothing(0, 0)},
          {"nothing_seen", {2, 1, 8, 4}, nothing(300, 80)}};
}

class AttentionRanges : public testing::TestWithParam<Named> {};
INSTANTIATE_TEST_SUITE_P(Kinds, AttentionRanges, testing::ValuesIn(all_kinds()),
                         [](const auto& instance) { return std::string(instance.param.name); });

// scaled_error of the logarithms; -inf must be where it is expected.
double lse_error(std::vector<double> actual, std::vector<double> expected) {
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isinf(expected[i]) && actual[i] == expected[i]) actual[i] = expected[i] = 0;
  }
  return scaled_error(actual, expected);
}

TEST_P(AttentionRanges, CpuEqualsReferenceWithinTheRoundingOfItsWeights) {
  const Heads& n = GetParam().heads;
  const Ranges& r = GetParam().ranges;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Attended actual(n, r, Device{}, dtype), exact(n, r, kReference, DType::f64, &actual);
    const double sum = bound(DType::f32, r.num_keys + n.Dqk);
    EXPECT_LE(lse_error(actual.values("lse"), exact.values("lse")), sum);
    for (const auto& [result, m] : magnitudes(n, r, exact)) {
      EXPECT_LE(worst_error(actual.values(result), exact.values(result), m, dtype, sum), 1) << result << ", " << dtype;
    }
  }
}

TEST_P(AttentionRanges, GiveTheSameForAnyNumberOfThreads) {
  const Heads& n = GetParam().heads;
  const Ranges& r = GetParam().ranges;
  const int before = num_threads();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    set_num_threads(1);
    const Attended one(n, r, Device{}, dtype);
    for (const int threads : {2, 5}) {
      set_num_threads(threads);
      const Attended many(n, r, Device{}, dtype);
      for (const char* result : kResults) EXPECT_EQ(one.values(result), many.values(result)) << result;
    }
  }
  set_num_threads(before);
}

// Rows of `width` elements.
void expect_rows(const std::vector<double>& values, size_t width, double value, const std::function<bool(size_t)>& of,
                 const std::string& what) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (of(i / width)) {
      EXPECT_EQ(values[i], value) << what << ", row " << i / width;
    }
  }
}

TEST_P(AttentionRanges, GiveZeroToQueriesWithoutKeysAndKeysWithoutQueries) {
  const Heads& n = GetParam().heads;
  const Ranges& r = GetParam().ranges;
  std::vector<bool> seen(static_cast<size_t>(r.num_keys));
  for (size_t t = 0; t < r.begin.size(); ++t) {
    for (int64_t j = r.begin[t]; j < r.end[t]; ++j) seen[static_cast<size_t>(j)] = true;
  }
  const auto blind = [&](size_t t) { return r.begin[t] >= r.end[t]; };
  const auto unseen = [&](size_t j) { return !seen[j]; };
  const size_t H = static_cast<size_t>(n.H), Hkv = static_cast<size_t>(n.Hkv), D = static_cast<size_t>(n.Dqk),
               V = static_cast<size_t>(n.Dv);
  for (const auto& [device, dtype] :
       {std::pair{Device{}, DType::f32}, {Device{}, DType::bf16}, {kReference, DType::f64}}) {
    const Attended a(n, r, device, dtype);
    expect_rows(a.values("o"), H * V, 0, blind, "o");
    expect_rows(a.values("lse"), H, -INFINITY, blind, "lse");
    expect_rows(a.values("d_q"), H * D, 0, blind, "d_q");
    expect_rows(a.values("d_k"), Hkv * D, 0, unseen, "d_k");
    expect_rows(a.values("d_v"), Hkv * V, 0, unseen, "d_v");
  }
}

TEST(AttentionOfRanges, BackwardMatchesFiniteDifferences) {
  const Heads n{2, 1, 3, 2};
  for (const Ranges& r : {chunked_prefill(3, 4), decoding({3, 1, 4}), media(7, 1, 6, 3), with_holes(6)}) {
    attention_case(n, r).expect_gradients({"q", "k", "v"}, {"o"});
  }
}

// Causal documents are ranges: the same bits, whichever way they are named.
TEST(AttentionOfRanges, EqualCausalDocuments) {
  const Heads n{4, 2, 24, 16};
  const Ranges named = documents({1, 127, 64, 500, 2, 300});
  Ranges ranges = named;
  ranges.kind = AttentionMask::Kind::key_ranges;
  ranges.offsets = {};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Attended a(n, named, Device{}, dtype), b(n, ranges, Device{}, dtype);
    for (const char* result : kResults) EXPECT_EQ(a.values(result), b.values(result)) << result;
  }
}

}  // namespace
}  // namespace birkhoff::test
