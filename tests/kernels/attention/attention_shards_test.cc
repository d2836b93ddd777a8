// Attention whose queries are some of the tokens and whose keys are all of them gives what one call over all gives.
#include <cmath>

#include <gtest/gtest.h>

#include "tests/kernels/attention/attended.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

constexpr Device kReference{DeviceKind::reference};

using Sequences = std::vector<std::vector<int64_t>>;  // the documents' lengths of each

Ranges whole(const Sequences& sequences) {
  std::vector<int64_t> lengths;
  for (const auto& s : sequences) lengths.insert(lengths.end(), s.begin(), s.end());
  return documents(lengths);
}

// Of each sequence in 2 cp chunks those numbered `rank` and 2 cp - 1 - rank, with the keys of all tokens.
Ranges zigzag_shard(const Sequences& sequences, int64_t cp, int64_t rank) {
  const Ranges all = whole(sequences);
  Ranges shard{.num_keys = all.num_keys};
  int64_t base = 0;
  for (const auto& documents : sequences) {
    int64_t length = 0;
    for (const int64_t l : documents) length += l;
    for (const int64_t chunk : {rank, 2 * cp - 1 - rank}) {
      for (int64_t t = length * chunk / (2 * cp); t < length * (chunk + 1) / (2 * cp); ++t) {
        const auto i = static_cast<size_t>(base + t);
        shard.add(all.begin[i], all.end[i]);
        shard.rows.push_back(base + t);
      }
    }
    base += length;
  }
  return shard;
}

// A document of one token, one over all chunks, ten in a sequence, and a sequence of fewer tokens than chunks.
const Sequences kSequences{{150, 1, 149}, {301}, {20, 3, 1, 40, 9, 33, 64, 2, 1, 100}, {3}};

// What every shard has of a tensor whose rows are the queries, at its place in the whole.
std::vector<double> gather(const std::vector<Attended>& shards, const std::vector<Ranges>& of, const char* name) {
  std::vector<double> all;
  for (size_t s = 0; s < shards.size(); ++s) {
    const std::vector<double> own = shards[s].values(name);
    const size_t width = own.size() / of[s].rows.size();
    for (size_t i = 0; i < own.size(); ++i) {
      const size_t at = static_cast<size_t>(of[s].rows[i / width]) * width + i % width;
      if (all.size() <= at) all.resize(at + 1, NAN);
      all[at] = own[i];
    }
  }
  return all;
}

std::vector<double> sum(const std::vector<Attended>& shards, const char* name) {
  std::vector<double> all = shards[0].values(name);
  for (size_t s = 1; s < shards.size(); ++s) {
    const std::vector<double> own = shards[s].values(name);
    for (size_t i = 0; i < own.size(); ++i) all[i] += own[i];
  }
  return all;
}

class ZigzagShards : public testing::TestWithParam<int64_t> {
 protected:
  void compute(Device device, DType dtype) {
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      ranges.push_back(zigzag_shard(kSequences, GetParam(), rank));
      shards.emplace_back(heads, ranges.back(), device, dtype);
    }
  }
  const Heads heads{4, 2, 24, 16};
  const Ranges all = whole(kSequences);
  std::vector<Ranges> ranges;
  std::vector<Attended> shards;
};
INSTANTIATE_TEST_SUITE_P(Ranks, ZigzagShards, testing::Values(1, 2, 3));

TEST_P(ZigzagShards, AreTheWholeOnTheReferenceDevice) {
  const Attended one(heads, all, kReference, DType::f64);
  compute(kReference, DType::f64);
  for (const char* name : {"o", "lse", "d_q"}) EXPECT_EQ(gather(shards, ranges, name), one.values(name)) << name;
  for (const char* name : {"d_k", "d_v"}) EXPECT_LE(scaled_error(sum(shards, name), one.values(name)), 1e-13) << name;
}

// The gradient of a query is summed by tiles of keys that begin elsewhere, so it is equal within rounding alone.
void expect_whole(const Heads& n, const Ranges& all, const std::vector<Ranges>& ranges,
                  const std::vector<Attended>& shards, DType dtype) {
  const Attended one(n, all, Device{}, dtype), exact(n, all, kReference, DType::f64, &one);
  const double sums = bound(DType::f32, all.num_keys + n.Dqk);
  for (const char* name : {"o", "lse"}) EXPECT_EQ(gather(shards, ranges, name), one.values(name)) << name;
  const auto m = magnitudes(n, all, exact);
  EXPECT_LE(worst_error(gather(shards, ranges, "d_q"), exact.values("d_q"), m.at("d_q"), dtype, sums), 1);
  for (const char* name : {"d_k", "d_v"}) {
    EXPECT_LE(worst_error(sum(shards, name), exact.values(name), m.at(name), dtype, sums, Stored::in_parts), 1) << name;
  }
}
TEST_P(ZigzagShards, AreTheWholeInFloat) {
  compute(Device{}, DType::f32);
  expect_whole(heads, all, ranges, shards, DType::f32);
}
TEST_P(ZigzagShards, AreTheWholeInBfloat16) {
  compute(Device{}, DType::bf16);
  expect_whole(heads, all, ranges, shards, DType::bf16);
}

// A prefix, then the rest with the prefix's keys: the rows are those of one call.
TEST(AttentionOfRanges, PrefillInChunksGivesTheSameRows) {
  const Heads n{4, 2, 24, 16};
  const Ranges all = documents({331});
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Attended one(n, all, Device{}, dtype);
    std::vector<Ranges> ranges;
    std::vector<Attended> chunks;
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 100}, {100, 101}, {101, 331}}) {
      Ranges chunk = chunked_prefill(begin, end - begin);
      for (int64_t t = begin; t < end; ++t) chunk.rows.push_back(t);
      chunks.emplace_back(n, chunk, Device{}, dtype);
      ranges.push_back(chunk);
    }
    for (const char* name : {"o", "lse"}) EXPECT_EQ(gather(chunks, ranges, name), one.values(name)) << name;
  }
}

}  // namespace
}  // namespace birkhoff::test
