#include "trainer/proof/documents.h"

#include <set>

#include <gmock/gmock.h>

#include "trainer/config/reader.h"
#include "trainer/step/build.h"

namespace birkhoff::test {
namespace {

Config config() {
  return parse_config(
             "model: {vocab_size: 37, num_layers: 2, mtp: {depth: 2}, engram: {layers: [1], rows_per_head: 50}}\n"
             "batch: {micro_batch_size: 2, global_batch_size: 24, sequence_length: 29}\n")
      .config;
}

// The microbatches of all replicas, in the order of the global batch.
std::vector<Batch> all_of(const Config& c, int64_t step, int replicas) {
  const DrawnDocuments documents(c, 3, addresses_without_tokenizer(c));
  std::vector<Batch> all;
  for (int r = 0; r < replicas; ++r) {
    for (Batch& b : documents.share(step, r, replicas).microbatches) all.push_back(std::move(b));
  }
  return all;
}

TEST(DrawnDocuments, AreTheSameForAnyNumberOfReplicas) {
  const Config c = config();
  const std::vector<Batch> one = all_of(c, 4, 1);
  ASSERT_EQ(one.size(), 12u);
  for (const int replicas : {2, 3, 4, 12}) {
    const std::vector<Batch> many = all_of(c, 4, replicas);
    ASSERT_EQ(many.size(), one.size());
    for (size_t m = 0; m < one.size(); ++m) {
      EXPECT_EQ(many[m].tokens, one[m].tokens);
      EXPECT_EQ(many[m].targets, one[m].targets);
      EXPECT_EQ(many[m].document_start, one[m].document_start);
      EXPECT_EQ(many[m].loss_weights, one[m].loss_weights);
    }
  }
  EXPECT_NE(all_of(c, 5, 1)[0].tokens, one[0].tokens);
}

TEST(DrawnDocuments, HaveOddLengthsAndUnequalTargets) {
  const Config c = config();
  const DrawnDocuments documents(c, 3, addresses_without_tokenizer(c));
  const StepBatch step = documents.share(0, 0, 1);
  std::set<int64_t> targets, lengths;
  for (const Batch& b : step.microbatches) {
    targets.insert(std::count_if(b.targets[0].begin(), b.targets[0].end(), [](int32_t t) { return t >= 0; }));
    for (const DocumentPiece& piece : b.pieces) lengths.insert(piece.length);
    for (const int32_t token : b.tokens) {
      ASSERT_GE(token, 0);
      ASSERT_LT(token, 37);
    }
  }
  EXPECT_GT(targets.size(), 4u) << "microbatches with equal numbers of targets would hide a wrong normalizer";
  EXPECT_TRUE(lengths.contains(1));
  EXPECT_TRUE(lengths.contains(29)) << "a document that fills the sequence";
  EXPECT_EQ(step.local_targets.size(), 3u);
  EXPECT_GT(step.local_targets[0], step.local_targets[1]);
  EXPECT_EQ(step.global_tokens, 24 * 29);
  EXPECT_EQ(step.engram_rows.size(), 1u);
}

}  // namespace
}  // namespace birkhoff::test
