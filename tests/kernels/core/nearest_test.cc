#include "kernels/core/nearest.h"

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

const std::vector<std::string_view> names{"train", "eval", "checkpoint", "describe", "tp", "etp"};

TEST(Nearest, IsTheNameWithTheFewestEdits) {
  EXPECT_EQ(nearest("trian", names), "train");
  EXPECT_EQ(nearest("checkpoints", names), "checkpoint");
  EXPECT_EQ(nearest("etpp", names), "etp");
  EXPECT_EQ(nearest("xp", names), "tp");
}

TEST(Nearest, IgnoresCaseBeforeAllElse) {
  EXPECT_EQ(nearest("TP", names), "tp");
  EXPECT_EQ(nearest("EVAL", names), "eval");
}

TEST(Nearest, IsEmptyWhereNoNameIsClose) {
  EXPECT_EQ(nearest("quantize", names), "");
  EXPECT_EQ(nearest("xy", {"tp"}), "") << "no letter of the name is kept";
  EXPECT_EQ(nearest("x", {}), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), {std::string_view("aaa")}), "");
}

}  // namespace
}  // namespace birkhoff
