#include "data/baseline/bigram.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "data/shard/manifest.h"
#include "data/shard/writer.h"
#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

constexpr double kExact = 1e-14;
using Document = std::vector<int32_t>;

std::vector<uint8_t> all_of(const Document& d) { return std::vector<uint8_t>(d.size(), 1); }

// The pairs of the documents 1 2 0 and 1 1 0 after the begin token 0, with a vocabulary of 4:
//   (0,1) occurs twice; (1,2), (2,0), (1,1) and (1,0) occur once, so the discount is D = 4/6.
// Of the 5 distinct pairs, 2 end with 0, 2 with 1 and 1 with 2, so the discount of q is D' = 1/5, and
//   q = (1.8, 1.8, 0.8, 0)/5 + 0.2 * 3/5 / 4.
BigramModel example() {
  BigramCounts counts(4);
  for (const Document& d : {Document{1, 2, 0}, Document{1, 1, 0}}) counts.add(d, all_of(d), 0);
  return BigramModel(std::move(counts));
}

TEST(Bigram, AgreesWithAHandComputedExample) {
  const BigramModel model = example();
  EXPECT_NEAR(model.probability(0, 1), (2 - 2.0 / 3) / 2 + 1.0 / 3 * 0.39, kExact);
  EXPECT_NEAR(model.probability(1, 2), 1.0 / 9 + 2.0 / 3 * 0.19, kExact);
  EXPECT_NEAR(model.probability(2, 3), 2.0 / 3 * 0.03, kExact);
  EXPECT_NEAR(model.probability(3, 0), 0.39, kExact);  // no token ever followed 3
}

TEST(Bigram, ProbabilitiesOfEveryContextSumToOne) {
  const BigramModel model = example();
  for (int32_t before = 0; before < 4; ++before) {
    double sum = 0;
    for (int32_t token = 0; token < 4; ++token) sum += model.probability(before, token);
    EXPECT_NEAR(sum, 1, kExact) << before;
  }
}

TEST(Bigram, NatsCountOnlyTargetsAndTheFirstTokenFollowsTheBeginToken) {
  const BigramModel model = example();
  const double expected = -std::log(model.probability(0, 1)) - std::log(model.probability(2, 0));
  EXPECT_NEAR(model.nats(Document{1, 2, 0}, std::vector<uint8_t>{1, 0, 1}, 0), expected, kExact);
}

TEST(Bigram, NeedsSomethingToLearnFrom) { EXPECT_THROW(BigramModel(BigramCounts(4)), UserError); }

class BigramDataset : public testing::Test {
 protected:
  BigramDataset() {
    const std::map<std::string, std::vector<Document>> splits = {{"train", {{1, 2, 0}, {1, 1, 0}}},
                                                                 {"heldout", {{1, 0}, {3, 0}}}};
    DatasetManifest manifest{"digest", 4, 0, 0, {}};
    for (const auto& [name, documents] : splits) {
      ShardWriter writer(dir_ / name, {4, "digest", 2000});
      for (const Document& d : documents) {
        Sample sample;
        sample.segments.push_back(Segment::text(d));
        sample.source_bytes = 5;
        writer.add(sample);
      }
      manifest.splits[name] = writer.finish();
    }
    write_manifest(dir_.path(), manifest);
  }
  TempDir dir_;
};

TEST_F(BigramDataset, ScoresTheHeldOutSplit) {
  const BigramScore score = score_bigram({dir_.path(), 0, 0, 1});
  const BigramModel model = example();
  const double nats = model.nats(Document{1, 0}, all_of({1, 0}), 0) + model.nats(Document{3, 0}, all_of({3, 0}), 0);
  EXPECT_EQ(score.train_tokens, 6);
  EXPECT_EQ(score.tokens, 4);
  EXPECT_EQ(score.source_bytes, 10);
  EXPECT_NEAR(score.loss, nats / 4, kExact);
  EXPECT_NEAR(score.bits_per_byte, nats / std::numbers::ln2 / 10, kExact);
}

// Two sequences of 3 tokens are exactly one epoch here. In any order of the documents they contain the same pairs.
TEST_F(BigramDataset, LearnsFromWhatARunWouldRead) {
  const BigramScore whole = score_bigram({dir_.path(), 0, 0, 1}), run = score_bigram({dir_.path(), 2, 3, 1});
  EXPECT_EQ(run.train_tokens, 6);
  EXPECT_EQ(run.loss, whole.loss);
  EXPECT_GT(std::abs(score_bigram({dir_.path(), 1, 3, 1}).loss - whole.loss), 1e-3);
  EXPECT_THROW(score_bigram({dir_.path(), 1, 0, 1}), UserError);
}

}  // namespace
}  // namespace birkhoff
