#include "kernels/engram/hash.h"

#include <algorithm>
#include <limits>
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

// The rows of tokens [begin, end).
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

// The bases are far apart, so that omitting one order does not change the primes of another.
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

// The tables for the layout of a vector, whose orders are 2, 3, ...
EngramHash hash_of(const json& v, std::vector<int64_t> bases, int64_t vocab, int64_t pad) {
  std::vector<int64_t> orders(bases.size());
  std::iota(orders.begin(), orders.end(), int64_t{2});
  return EngramHash({v.at("layer_ids").get<std::vector<int64_t>>(), std::move(orders), std::move(bases),
                     v.at("n_heads"), vocab, pad, v.value("seed", int64_t{0})});
}

std::vector<int64_t> integers(const json& nested) {
  if (!nested.is_array()) return {nested.get<int64_t>()};
  std::vector<int64_t> out;
  for (const json& item : nested) {
    const auto part = integers(item);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

void expect_tables(const EngramHash& hash, const json& v) {
  for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
    const EngramTable& table = hash.table(static_cast<int64_t>(site));
    EXPECT_EQ(table.primes, integers(v.at("primes").at(site)));
    if (v.contains("table_rows")) {
      EXPECT_EQ(table.num_rows, v.at("table_rows").at(site).get<int64_t>());
    }
    if (v.contains("multipliers")) {
      EXPECT_EQ(table.multipliers, integers(v.at("multipliers").at(site)));
    }
  }
  if (v.contains("multiplier_bound")) {
    EXPECT_EQ(std::numeric_limits<int64_t>::max() / hash.spec().compressed_vocab / 2,
              v.at("multiplier_bound").get<int64_t>());
  }
}

// The look-back of a token lists the tokens up to it, newest first and padded. In a document of these tokens in
// ascending order, the rows of the last token must be those of the vector.
void expect_lookback(const EngramHash& hash, const json& item) {
  for (size_t t = 0; t < item.at("lookback").size(); ++t) {
    auto document = item.at("lookback").at(t).get<std::vector<int32_t>>();
    ASSERT_EQ(static_cast<int64_t>(document.size()), hash.max_order());
    std::reverse(document.begin(), document.end());
    const auto length = static_cast<int64_t>(document.size());
    for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
      const auto rows = rows_of(hash, static_cast<int64_t>(site), document, std::vector<int32_t>(document.size(), 0));
      EXPECT_EQ(tokens(hash, rows, length - 1, length), integers(item.at("rows").at(t).at(site))) << "lookback " << t;
    }
  }
}

void expect_rows(const EngramHash& hash, const json& item) {
  const auto ids = item.at("compressed_ids").get<std::vector<int32_t>>();
  const std::vector<int32_t> start(ids.size(), 0);
  ASSERT_EQ(item.at("rows").size(), ids.size());
  for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
    std::vector<int64_t> expected;
    for (const auto& token : item.at("rows")) {
      const auto columns = integers(token.at(site));
      expected.insert(expected.end(), columns.begin(), columns.end());
    }
    EXPECT_EQ(rows_of(hash, static_cast<int64_t>(site), ids, start), expected) << item.value("name", "");
  }
  if (item.contains("lookback")) expect_lookback(hash, item);
}

TEST(EngramHashVectors, MatchTheReleasedModel) {
  for_each_vector_file("engram_hash", [](const json& v) {
    const EngramHash hash =
        hash_of(v, std::vector<int64_t>(v.at("max_ngram").get<size_t>() - 1, v.at("vocab_base").get<int64_t>()),
                v.at("compressed_vocab"), v.at("pad_compressed_id"));
    expect_tables(hash, v);
    for (const auto& item : v.at("cases")) expect_rows(hash, item);
  });
}

TEST(EngramLayoutVectors, MatchThePublishedSizes) {
  for_each_vector_file("engram_layouts", [](const json& v) {
    for (const auto& layout : v.value("layouts", json::array())) {
      SCOPED_TRACE(layout.value("name", ""));
      const EngramHash hash = hash_of(layout, layout.at("bases").get<std::vector<int64_t>>(), 1000, 0);
      expect_tables(hash, layout);
      int64_t total = 0;
      for (size_t site = 0; site < hash.spec().layers.size(); ++site) {
        total += hash.table(static_cast<int64_t>(site)).num_rows;
      }
      EXPECT_EQ(total * layout.at("head_dim").get<int64_t>(), layout.at("params").get<int64_t>());
    }
  });
}

TEST(EngramLayoutVectors, MatchTheRowsOfTinyTables) {
  for_each_vector_file("engram_layouts", [](const json& v) {
    for (const auto& tiny : v.value("tiny_hash", json::array())) {
      const EngramHash hash =
          hash_of(tiny, tiny.at("bases").get<std::vector<int64_t>>(), tiny.at("V_prime"), tiny.at("pad"));
      expect_tables(hash, tiny);
      for (const auto& item : tiny.at("cases")) expect_rows(hash, item);
    }
  });
}

}  // namespace
}  // namespace birkhoff::test
