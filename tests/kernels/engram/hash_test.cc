#include "kernels/engram/hash.h"

#include <numeric>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

using nlohmann::json;

EngramHash tiny_hash() { return EngramHash({{1}, {2, 3}, {64, 64}, 2, 50, 0, 0}); }

std::vector<int64_t> rows_of(const EngramHash& hash, int64_t site, const std::vector<int32_t>& ids,
                             const std::vector<int32_t>& document_start) {
  std::vector<int64_t> rows(ids.size() * static_cast<size_t>(hash.num_columns()));
  hash.row_ids(site, ids, document_start, rows);
  return rows;
}

// Rows of [begin, end) tokens.
std::vector<int64_t> tokens(const EngramHash& hash, const std::vector<int64_t>& rows, int64_t begin, int64_t end) {
  return {rows.begin() + begin * hash.num_columns(), rows.begin() + end * hash.num_columns()};
}

TEST(EngramHash, LooksNoFurtherThanTheDocument) {
  const EngramHash hash = tiny_hash();
  const std::vector<int32_t> packed{7, 8, 9, 3, 4, 5, 6}, second{3, 4, 5, 6};
  const auto apart = rows_of(hash, 0, second, {0, 0, 0, 0});
  EXPECT_EQ(tokens(hash, rows_of(hash, 0, packed, {0, 0, 0, 3, 3, 3, 3}), 3, 7), apart);
  EXPECT_NE(tokens(hash, rows_of(hash, 0, packed, std::vector<int32_t>(7, 0)), 3, 7), apart);
}

TEST(EngramHash, ADeadPositionHidesItselfAndAllBeforeIt) {
  const EngramHash hash = tiny_hash();
  const auto rows = rows_of(hash, 0, {7, 8, kEngramDead, 3, 4, 5}, std::vector<int32_t>(6, 0));
  EXPECT_EQ(tokens(hash, rows, 2, 3), rows_of(hash, 0, {0}, {0}));  // pad, with nothing before it
  EXPECT_EQ(tokens(hash, rows, 3, 6), rows_of(hash, 0, {3, 4, 5}, {0, 0, 0}));
}

TEST(EngramHash, EveryRowLiesInItsSegment) {
  const EngramHash hash = tiny_hash();
  std::vector<int32_t> ids(200), start(200, 0);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 17 % 50);
  const auto rows = rows_of(hash, 0, ids, start);
  const EngramTable& table = hash.table(0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t k = i % table.primes.size();
    EXPECT_GE(rows[i], table.offsets[k]);
    EXPECT_LT(rows[i], table.offsets[k] + table.primes[k]);
  }
  EXPECT_EQ(table.offsets.back() + table.primes.back(), table.num_rows);
}

TEST(EngramHash, DistinguishesTheOrderOfTokens) {
  const EngramHash hash = tiny_hash();
  EXPECT_NE(rows_of(hash, 0, {3, 4}, {0, 0}), rows_of(hash, 0, {4, 3}, {0, 0}));
}

TEST(EngramHash, RefusesWhatItCannotHash) {
  const EngramHash hash = tiny_hash();
  EXPECT_THROW(rows_of(hash, 0, {50}, {0}), UserError);
  EXPECT_THROW(rows_of(hash, 0, {-2}, {0}), UserError);
  EXPECT_THROW(rows_of(hash, 1, {3}, {0}), UserError);
  EXPECT_THROW(rows_of(hash, 0, {3}, {0, 0}), UserError);
  EXPECT_THROW(EngramHash({{1}, {2}, {64}, 2, 0, 0, 0}), UserError);
  EXPECT_THROW(EngramHash({{1}, {2}, {64}, 2, 50, 50, 0}), UserError);
  EXPECT_THROW(EngramHash({{1}, {2, 3}, {64}, 2, 50, 0, 0}), UserError);
  EXPECT_THROW(EngramHash({{1}, {3, 2}, {64, 64}, 2, 50, 0, 0}), UserError);
  EXPECT_THROW(EngramHash({{1}, {1, 2}, {64, 64}, 2, 50, 0, 0}), UserError);
  EXPECT_THROW(EngramHash({{1}, {}, {}, 2, 50, 0, 0}), UserError);
}

// Bases far apart, so that leaving an order out changes no prime of another.
TEST(EngramHash, AnOrderLeftOutChangesNothingForTheOthers) {
  const EngramHash all({{1}, {2, 3, 4}, {50, 500, 5000}, 2, 50, 0, 0}), some({{1}, {2, 4}, {50, 5000}, 2, 50, 0, 0});
  EXPECT_EQ(some.table(0).multipliers, all.table(0).multipliers);
  EXPECT_EQ(some.max_order(), 4);
  ASSERT_EQ(some.num_columns(), 4);
  const std::vector<int32_t> ids{7, 8, 9, 3, 4, 5, 6}, start(7, 0);
  const auto rows = rows_of(some, 0, ids, start), expected = rows_of(all, 0, ids, start);
  const size_t column[] = {0, 1, 4, 5};  // of `all`
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t t = i / 4, k = i % 4;
    EXPECT_EQ(rows[i] - some.table(0).offsets[k], expected[t * 6 + column[k]] - all.table(0).offsets[column[k]]);
  }
}

// The primes, rows and row ids of a vector's layout, whose orders are 2, 3, ...
EngramHash hash_of(const json& v, std::vector<int64_t> bases, int64_t vocab, int64_t pad) {
  std::vector<int64_t> orders(bases.size());
  std::iota(orders.begin(), orders.end(), int64_t{2});
  return EngramHash(
      {v["layer_ids"].get<std::vector<int64_t>>(), std::move(orders), std::move(bases), v["n_heads"], vocab, pad, 0});
}

std::vector<int64_t> integers(const json& nested) {
  const std::vector<double> values = flatten(nested);
  return {values.begin(), values.end()};
}

void expect_rows(const EngramHash& hash, const json& v) {
  const auto ids = v["compressed_ids"].get<std::vector<int32_t>>();
  const std::vector<int32_t> start(ids.size(), 0);
  for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
    std::vector<int64_t> expected;
    for (const auto& token : v["rows"]) {
      const auto columns = integers(token[site]);
      expected.insert(expected.end(), columns.begin(), columns.end());
    }
    EXPECT_EQ(rows_of(hash, static_cast<int64_t>(site), ids, start), expected);
  }
}

TEST(EngramHashVectors, MatchTheReleasedModel) {
  const json v = load_vectors("engram_hash_v41.json");
  const int64_t base = v["vocab_base"];
  const EngramHash hash = hash_of(v, std::vector<int64_t>(v["max_ngram"].get<size_t>() - 1, base),
                                  v["compressed_vocab"], v["pad_compressed_id"]);
  for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
    const EngramTable& table = hash.table(static_cast<int64_t>(site));
    EXPECT_EQ(table.multipliers, v["multipliers"][site].get<std::vector<int64_t>>());
    EXPECT_EQ(table.primes, integers(v["primes"][site]));
    EXPECT_EQ(table.num_rows, v["table_rows"][site].get<int64_t>());
  }
  for (const auto& item : v["cases"]) expect_rows(hash, item);
}

TEST(EngramHashVectors, MatchThePublishedLayouts) {
  const json v = load_vectors("engram_layouts.json");
  for (const auto& layout : v["layouts"]) {
    const EngramHash hash = hash_of(layout, layout["bases"].get<std::vector<int64_t>>(), 1000, 0);
    int64_t total = 0;
    for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
      const EngramTable& table = hash.table(static_cast<int64_t>(site));
      EXPECT_EQ(table.primes, integers(layout["primes"][site])) << layout["name"];
      EXPECT_EQ(table.num_rows, layout["table_rows"][site].get<int64_t>()) << layout["name"];
      total += table.num_rows;
    }
    EXPECT_EQ(total * layout["head_dim"].get<int64_t>(), layout["params"].get<int64_t>()) << layout["name"];
  }
}

TEST(EngramHashVectors, MatchTinyTables) {
  const json v = load_vectors("engram_layouts.json");
  for (const auto& tiny : v["tiny_hash"]) {
    const EngramHash hash = hash_of(tiny, tiny["bases"].get<std::vector<int64_t>>(), tiny["V_prime"], tiny["pad"]);
    EXPECT_EQ(hash.table(0).multipliers, tiny["multipliers"][0].get<std::vector<int64_t>>());
    for (const auto& item : tiny["cases"]) expect_rows(hash, item);
  }
}

}  // namespace
}  // namespace birkhoff::test
