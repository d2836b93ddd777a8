#include "trainer/step/token_split.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

using testing::Each;
using testing::HasSubstr;

StepBatch step_of(int64_t length) {
  StepBatch step = tiny_batch(full_options(), {.sequences = 4, .length = length});
  int64_t sample = 100;
  for (Batch& b : step.microbatches) {
    for (int64_t q = 0; q < b.num_sequences; ++q) b.sample_ids.push_back(sample++);
  }
  return step;
}

class TokenSplits : public testing::TestWithParam<std::pair<int, int64_t>> {};  // ranks, length of a sequence

// Undoes the padding of `padded` and compares with `whole`; requires `pad` in the padding.
template <class T>
void expect_padded(const std::vector<T>& padded, const std::vector<T>& whole, int64_t length, int64_t padded_length,
                   T pad) {
  std::vector<T> kept, pads;
  for (size_t i = 0; i < padded.size(); ++i) {
    (static_cast<int64_t>(i) % padded_length < length ? kept : pads).push_back(padded[i]);
  }
  EXPECT_EQ(kept, whole);
  EXPECT_THAT(pads, Each(pad));
}

TEST_P(TokenSplits, PadEverySequenceAtItsEnd) {
  const auto [ranks, length] = GetParam();
  const TokenSplit split{0, ranks};
  const StepBatch whole = step_of(length), own = divided(whole, split);
  const int64_t padded = split.padded(length);
  EXPECT_EQ(padded % ranks, 0);
  EXPECT_LT(padded - length, ranks);
  ASSERT_EQ(own.microbatches.size(), whole.microbatches.size());
  for (size_t m = 0; m < own.microbatches.size(); ++m) {
    const Batch &a = own.microbatches[m], &b = whole.microbatches[m];
    EXPECT_EQ(a.sequence_length, padded);
    EXPECT_EQ(a.num_sequences, b.num_sequences);
    expect_padded(a.tokens, b.tokens, length, padded, 0);
    expect_padded(a.positions, b.positions, length, padded, 0);
    expect_padded(a.loss_weights, b.loss_weights, length, padded, 0.0f);
    for (size_t d = 0; d < a.targets.size(); ++d) expect_padded(a.targets[d], b.targets[d], length, padded, -1);
    if (padded == length) {
      EXPECT_TRUE(a.token_mask.empty());
    } else {
      const std::vector<uint8_t> every(b.tokens.size(), 1);
      expect_padded(a.token_mask, every, length, padded, uint8_t{0});
    }
  }
}

// A document starts at the same token as before, and each token of padding is a document of its own.
TEST_P(TokenSplits, KeepDocumentsApart) {
  const auto [ranks, length] = GetParam();
  const TokenSplit split{0, ranks};
  const StepBatch whole = step_of(length), own = divided(whole, split);
  const int64_t padded = split.padded(length);
  for (size_t m = 0; m < own.microbatches.size(); ++m) {
    const std::vector<int32_t>&starts = own.microbatches[m].document_start,
          &before = whole.microbatches[m].document_start;
    for (int64_t t = 0; t < std::ssize(starts); ++t) {
      const int64_t q = t / padded, i = t % padded, start = starts[static_cast<size_t>(t)];
      if (i >= length) {
        EXPECT_EQ(start, t);
        continue;
      }
      EXPECT_EQ(start - q * padded, before[static_cast<size_t>(q * length + i)] - q * length);
    }
  }
}

// The ranks' tokens, one rank after the other, look up the rows that the whole step looks up at the same places, and
// padding looks up the row behind the last.
TEST_P(TokenSplits, LookUpTheRowsOfOwnTokensAlone) {
  const auto [ranks, length] = GetParam();
  const StepBatch whole = step_of(length);
  const int64_t padded = TokenSplit{0, ranks}.padded(length);
  for (size_t layer = 0; layer < whole.engram_rows.size(); ++layer) {
    std::set<int64_t> looked_up;
    for (size_t m = 0; m < whole.microbatches.size(); ++m) {
      const std::vector<int32_t>& index = whole.microbatches[m].engram_index[layer];
      const auto each = static_cast<int64_t>(index.size()) / whole.microbatches[m].num_tokens();
      int64_t at = 0;  // in the padded flat tokens, times `each`
      for (int r = 0; r < ranks; ++r) {
        const StepBatch own = divided(whole, {r, ranks});
        const std::vector<int64_t>& rows = own.engram_rows[layer];
        EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
        std::set<int32_t> used;
        for (const Batch& b : own.microbatches) used.insert(b.engram_index[layer].begin(), b.engram_index[layer].end());
        used.erase(static_cast<int32_t>(rows.size()));
        EXPECT_EQ(used.size(), rows.size()) << "a row that no token of the rank looks up";
        for (const int32_t row : own.microbatches[m].engram_index[layer]) {
          const int64_t t = at / each, q = t / padded, i = t % padded;
          if (i >= length) {
            EXPECT_EQ(row, std::ssize(rows));
          } else {
            const int32_t expected = index[static_cast<size_t>((q * length + i) * each + at % each)];
            EXPECT_EQ(rows.at(static_cast<size_t>(row)), whole.engram_rows[layer][static_cast<size_t>(expected)]);
            looked_up.insert(rows[static_cast<size_t>(row)]);
          }
          ++at;
        }
      }
      EXPECT_EQ(at, whole.microbatches[m].num_sequences * padded * each);
    }
    EXPECT_EQ(looked_up, std::set<int64_t>(whole.engram_rows[layer].begin(), whole.engram_rows[layer].end()));
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, TokenSplits,
                         testing::Values(std::pair{1, 11}, std::pair{2, 11}, std::pair{2, 12}, std::pair{3, 11},
                                         std::pair{4, 1}, std::pair{5, 3}));

TEST(TokenSplit, AcceptsAMicrobatchWithoutSequences) {
  StepBatch step = step_of(11);
  remove_sequences(step);
  const StepBatch own = divided(step, {1, 2});
  for (const Batch& b : own.microbatches) EXPECT_EQ(b.num_tokens(), 0);
  for (const auto& rows : own.engram_rows) EXPECT_TRUE(rows.empty());
}

TEST(SameBatch, IsRequiredOfAllRanksOfAGroup) {
  EXPECT_NO_THROW(run_ranks(3, [](Communicator& world) { require_same_batch(world, step_of(11)); }));
}

TEST(SameBatch, NamesTheRankAndTheSampleThatDiffer) {
  const auto attempt = [](const std::function<void(StepBatch&)>& damage) {
    try {
      run_ranks(3, [&](Communicator& world) {
        StepBatch step = step_of(11);
        if (world.rank() == 2) damage(step);
        require_same_batch(world, step);
      });
    } catch (const CommError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const std::string token = attempt([](StepBatch& s) { s.microbatches[1].tokens[3] ^= 1; });
  EXPECT_THAT(token, testing::AllOf(HasSubstr("rank 2"), HasSubstr("sequence 2"), HasSubstr("sample 102")));
  EXPECT_THAT(attempt([](StepBatch& s) { s.microbatches[0].targets[1][20] = -1; }), HasSubstr("sample 101"));
  EXPECT_THAT(attempt([](StepBatch& s) { s.microbatches.pop_back(); }),
              HasSubstr("number of sequences, 2 instead of 4"));
}

}  // namespace
}  // namespace birkhoff::test
