#include "parallel/shard/partition.h"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

int64_t total(const PieceCounts& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

TEST(Partition, CutsEvenlyWhereItMay) {
  std::vector<double> load(4, 0.0);
  EXPECT_THAT(cut_bucket(std::vector<PartitionItem>{{1024, 1024, kCutAlignment}}, load),
              ElementsAre(256, 256, 256, 256));
  EXPECT_THAT(load, Each(256.0));
}

TEST(Partition, NeverCutsAWholeItem) {
  std::vector<double> load(3, 0.0);
  const std::vector<PartitionItem> items{
      {100, 100, 0}, {64, 64, kCutAlignment}, {300, 300, 0}, {16, 16, kCutAlignment}};
  const PieceCounts counts = cut_bucket(items, load);
  EXPECT_EQ(total(counts), 480);
  int64_t cut = 0;
  for (size_t r = 0; r + 1 < counts.size(); ++r) {
    cut += counts[r];
    EXPECT_FALSE(cut > 0 && cut < 100) << cut;
    EXPECT_FALSE(cut > 164 && cut < 464) << cut;
  }
  EXPECT_EQ(*std::max_element(load.begin(), load.end()), 300);
}

TEST(Partition, CutsAnItemBetweenItsMatricesOnly) {
  // Seven matrices of 30 elements, padded to 224, between two free items.
  const std::vector<PartitionItem> items{{48, 48, kCutAlignment}, {224, 224 * 5, 30}, {16, 16, kCutAlignment}};
  for (size_t ranks = 1; ranks < 9; ++ranks) {
    std::vector<double> load(ranks, 0.0);
    const PieceCounts counts = cut_bucket(items, load);
    EXPECT_EQ(total(counts), 288);
    int64_t cut = 0;
    for (int64_t count : counts) {
      cut += count;
      EXPECT_TRUE(cut <= 48 || cut >= 48 + 210 || (cut - 48) % 30 == 0) << ranks;
    }
    const int64_t matrices = (7 + static_cast<int64_t>(ranks) - 1) / static_cast<int64_t>(ranks);
    EXPECT_LE(*std::max_element(load.begin(), load.end()), static_cast<double>(matrices * 30 * 5 + 48 + 16 + 14 * 5));
  }
}

TEST(Partition, CutsLieOnAlignedElements) {
  std::vector<double> load(3, 0.0);
  const PieceCounts counts = cut_bucket(std::vector<PartitionItem>{{1000, 1, kCutAlignment}}, load);
  EXPECT_EQ(total(counts), 1000);
  EXPECT_EQ(counts[0] % kCutAlignment, 0);
  EXPECT_EQ(counts[1] % kCutAlignment, 0);
  EXPECT_LE(counts[0], 352);
}

TEST(Partition, BucketsEvenOutOneAnother) {
  std::vector<double> load(4, 0.0);
  // Twelve buckets of one matrix each: every rank gets three.
  for (int i = 0; i < 12; ++i) {
    const PieceCounts counts = cut_bucket(std::vector<PartitionItem>{{640, 5.0, 0}}, load);
    EXPECT_EQ(total(counts), 640);
    EXPECT_EQ(*std::max_element(counts.begin(), counts.end()), 640);
  }
  EXPECT_THAT(load, Each(15.0));
}

TEST(Partition, BalancesMatricesOfDifferentCosts) {
  // The matrices of 8 blocks have different costs. Over 3 ranks the loads must be even up to one largest matrix.
  std::vector<double> load(3, 0.0);
  double sum = 0;
  for (int block = 0; block < 8; ++block) {
    std::vector<PartitionItem> items{{4096, 40, 0}, {2048, 20, 0},           {8192, 90, 0},
                                     {8192, 90, 0}, {512, 1, kCutAlignment}, {4096, 35, 0}};
    for (const PartitionItem& item : items) sum += item.cost;
    EXPECT_EQ(total(cut_bucket(items, load)), 27136);
  }
  EXPECT_NEAR(std::accumulate(load.begin(), load.end(), 0.0), sum, 1e-9 * sum);
  EXPECT_LE(*std::max_element(load.begin(), load.end()), sum / 3 + 90);
}

TEST(Partition, EmptyBucketsAndFreeItemsAreOrdinary) {
  std::vector<double> load(2, 0.0);
  EXPECT_THAT(cut_bucket({}, load), ElementsAre(0, 0));
  EXPECT_EQ(
      total(cut_bucket(std::vector<PartitionItem>{{0, 0, kCutAlignment}, {33, 0, kCutAlignment}, {16, 0, 0}}, load)),
      49);
  EXPECT_THAT(load, Each(0.0));
}

}  // namespace
}  // namespace birkhoff
