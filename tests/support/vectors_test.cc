#include "tests/support/vectors.h"

#include <gmock/gmock.h>

namespace birkhoff::test {
namespace {

TEST(VectorsDirectory, HoldsFilesOfKnownKindsOnly) { EXPECT_THAT(unknown_vector_files(), testing::IsEmpty()); }

TEST(VectorKinds, FollowFromWhatAFileHolds) {
  using nlohmann::json;
  EXPECT_EQ(vector_kind(json::parse(R"({"cases": [{"logits": []}]})")), "mhc_sinkhorn");
  EXPECT_EQ(vector_kind(json::parse(R"({"cases": [{"fn": [], "X": []}]})")), "mhc_site");
  EXPECT_EQ(vector_kind(json::parse(R"({"case": {"conv_w": []}})")), "engram_conv_module");
  EXPECT_EQ(vector_kind(json::parse(R"({"rows": [{"key": "a"}]})")), "engram_normalizer");
  EXPECT_EQ(vector_kind(json::parse(R"({"cases": []})")), "");
  EXPECT_EQ(vector_kind(json::parse("[1, 2]")), "");
}

}  // namespace
}  // namespace birkhoff::test
