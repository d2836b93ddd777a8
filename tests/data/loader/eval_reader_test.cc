#include "data/loader/eval_reader.h"

#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/datasets.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

class EvalReaderTest : public testing::Test {
 protected:
  EvalReaderTest() {
    write_test_dataset(dir_.path(), "heldout", documents_);
    options_.directory = dir_.path();
    options_.vocab_size = kTestVocab;
    options_.tokenizer_digest = "digest";
    options_.sequence_length = 16;
    options_.microbatch_sequences = 3;
  }
  TempDir dir_;
  const std::vector<std::vector<int32_t>> documents_ = test_documents(0, 37);
  EvalOptions options_;
};

TEST_F(EvalReaderTest, ScoresEveryTokenOnceForAnyReplicasAndContext) {
  int64_t tokens = 0;
  for (const auto& document : documents_) tokens += static_cast<int64_t>(document.size());
  for (const int replicas : {1, 2, 3})
    for (const int64_t context : {0, 5, 15}) {
      options_.num_replicas = replicas;
      options_.context_tokens = context;
      std::map<int32_t, int> seen;
      int64_t scored = 0, microbatches = -1;
      for (options_.replica = 0; options_.replica < replicas; ++options_.replica) {
        EvalReader reader(options_);
        if (microbatches < 0) microbatches = reader.num_microbatches();
        EXPECT_EQ(reader.num_microbatches(), microbatches);
        EXPECT_EQ(reader.source_bytes(), 10 * tokens);
        int64_t count = 0;
        while (const auto step = reader.next()) {
          ++count;
          scored += step->local_targets[0];
          for (const int32_t target : step->microbatches[0].targets[0]) ++seen[target];
        }
        EXPECT_EQ(count, microbatches);
      }
      EXPECT_EQ(scored, tokens);
      seen.erase(-1);
      EXPECT_EQ(seen[kTestEnd], 37);
      seen.erase(kTestEnd);
      for (const auto& entry : seen) EXPECT_EQ(entry.second, 1) << entry.first;
    }
}

TEST_F(EvalReaderTest, ContextRepeatsWhatCameBeforeTheCutUnscored) {
  options_.context_tokens = 4;
  EvalReader reader(options_);
  int repeated = 0;
  while (const auto step = reader.next()) {
    const Batch& batch = step->microbatches[0];
    size_t t = 0;
    for (const DocumentPiece& piece : batch.pieces) {
      for (int64_t i = 0; i < piece.length; ++i, ++t)
        if (batch.targets[0][t] < 0) {
          ++repeated;
          EXPECT_LT(i, 4);
          EXPECT_EQ(t % 16, static_cast<size_t>(i));
        }
    }
  }
  EXPECT_GT(repeated, 0);
}

TEST_F(EvalReaderTest, MasksWhatNoDocumentCovers) {
  EvalReader reader(options_);
  int64_t padding = 0, whole = 0;
  while (const auto step = reader.next()) {
    const Batch& batch = step->microbatches[0];
    int64_t covered = 0;
    for (const DocumentPiece& piece : batch.pieces) covered += piece.length;
    padding += batch.num_tokens() - covered;
    if (covered == batch.num_tokens()) {
      ++whole;
      EXPECT_TRUE(batch.token_mask.empty());
      continue;
    }
    ASSERT_EQ(batch.token_mask.size(), batch.tokens.size());
    for (size_t t = 0; t < batch.tokens.size(); ++t) {
      EXPECT_EQ(batch.token_mask[t], static_cast<int64_t>(t) < covered) << t;
    }
  }
  EXPECT_GT(padding, 0);
  EXPECT_GT(whole, 0);
}

TEST_F(EvalReaderTest, RewindsToTheSameBatchesAndTakesAPrefixOfDocuments) {
  options_.max_documents = 5;
  EvalReader reader(options_);
  const auto first = reader.next();
  reader.rewind();
  EXPECT_EQ(reader.next()->microbatches[0].tokens, first->microbatches[0].tokens);
  int64_t bytes = 0;
  for (size_t i = 0; i < 5; ++i) bytes += 10 * static_cast<int64_t>(documents_[i].size());
  EXPECT_EQ(reader.source_bytes(), bytes);
}

// The targets of all replicas, microbatch by microbatch in global order.
std::vector<std::vector<int32_t>> microbatches_of(EvalOptions options, int replicas) {
  std::vector<std::vector<int32_t>> all;
  std::vector<std::unique_ptr<EvalReader>> readers;
  options.num_replicas = replicas;
  for (options.replica = 0; options.replica < replicas; ++options.replica)
    readers.push_back(std::make_unique<EvalReader>(options));
  for (int64_t i = 0; i < readers[0]->num_microbatches(); ++i)
    for (const auto& reader : readers) all.push_back(reader->next()->microbatches[0].targets[0]);
  // In the last round there may not be a sequence for every replica. The microbatches without one are fully masked and
  // dropped here.
  while (std::count(all.back().begin(), all.back().end(), -1) == static_cast<int64_t>(all.back().size()))
    all.pop_back();
  return all;
}

TEST_F(EvalReaderTest, ScoresTheSameMicrobatchesInTheSameOrderOnAnyNumberOfReplicas) {
  for (const int64_t sequences : {0, 1, 4, 7}) {
    options_.max_sequences = sequences;
    const auto one = microbatches_of(options_, 1);
    if (sequences > 0) {
      EXPECT_EQ(one.size(), static_cast<size_t>((sequences + 2) / 3));
    }
    for (const int replicas : {2, 3, 4}) EXPECT_EQ(microbatches_of(options_, replicas), one) << sequences;
  }
}

TEST_F(EvalReaderTest, TakesTheFirstSequences) {
  const auto all = microbatches_of(options_, 1);
  options_.max_sequences = 4;
  const auto first = microbatches_of(options_, 2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0], all[0]);
  EXPECT_TRUE(std::equal(first[1].begin(), first[1].begin() + 16, all[1].begin()));
  EXPECT_EQ(std::count(first[1].begin() + 16, first[1].end(), -1), 32);
}

TEST_F(EvalReaderTest, RefusesNothingToScore) {
  options_.context_tokens = 16;
  EXPECT_THROW(EvalReader{options_}, UserError);
  write_test_dataset(dir_ / "none", "heldout", {});
  options_.context_tokens = 0;
  options_.directory = dir_ / "none";
  EXPECT_THROW(EvalReader{options_}, DataError);
}

}  // namespace
}  // namespace birkhoff
