#include "kernels/core/hash.h"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

// XXH3-64 of empty input with seed 0, as published with the xxHash sources.
TEST(Hash, OfNothingIsThePublishedValue) { EXPECT_EQ(hash64("", 0), 0x2D06800538D394C2u); }

TEST(Hash, OfPiecesEqualsHashOfTheWhole) {
  std::vector<unsigned char> bytes(5000);
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(3));
  for (const size_t cut : {0u, 1u, 16u, 240u, 1024u, 4999u, 5000u}) {
    Hasher hasher;
    hasher.update(bytes.data(), cut).update(bytes.data() + cut, bytes.size() - cut);
    EXPECT_EQ(hasher.digest(), hash64(bytes.data(), bytes.size())) << cut;
  }
}

TEST(Hash, PrintsSixteenDigits) {
  EXPECT_EQ(hex16(0), "0000000000000000");
  EXPECT_EQ(hex16(0xFEDCBA9876543210u), "fedcba9876543210");
}

}  // namespace
}  // namespace birkhoff
