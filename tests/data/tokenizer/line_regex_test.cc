#include "data/tokenizer/line_regex.h"

#include <chrono>

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& pattern, const std::string& line) {
  try {
    return LineRegex(pattern).found_in(line) ? "found" : "not found";
  } catch (const UserError& error) {
    return error.what();
  }
}

// The expectations are those of grep -E.
TEST(LineRegex, MatchesLinesAsGrepDoes) {
  for (const char* line : {"ab\n", "ab"}) EXPECT_EQ(refusal("^ab$", line), "found");
  EXPECT_EQ(refusal("^ab$", "ab\r\n"), "not found");
  EXPECT_EQ(refusal("^ab.$", "ab\r\n"), "found");
  EXPECT_EQ(refusal("^$", "\n"), "found");
  EXPECT_EQ(refusal("\\n", "ab\n"), "not found");
  EXPECT_EQ(refusal("^.$", "\xc3\xa4\n"), "found");
  EXPECT_EQ(refusal("^.b",
                    "\xff"
                    "b\n"),
            "not found");
  EXPECT_EQ(refusal("b$",
                    "\xff"
                    "b\n"),
            "found");
  EXPECT_EQ(refusal("^[[:alpha:]]+$", "\xc3\xa4z\n"), "found");
}

TEST(LineRegex, FindsTheEndOfALongLine) {
  const std::string line = std::string(1 << 20, 'x') + "START OF\n";
  EXPECT_EQ(refusal(".*START OF", line), "found");
  EXPECT_EQ(refusal("F$", line), "found");
  EXPECT_EQ(refusal("^START", line), "not found");
  std::string wide;
  for (int i = 0; i < 5000; ++i) wide += "\u20ac";
  EXPECT_EQ(refusal("\u20ac{3}\u00e4$", wide + "\u00e4"), "found");
}

TEST(LineRegex, EndsWithAMessageWherePatternsExplode) {
  EXPECT_THAT(refusal("(a+)+$", std::string(5000, 'a') + "b"), HasSubstr("the regex (a+)+$ fails on a text of 5001"));
  EXPECT_THAT(refusal("(", ""), HasSubstr("the regex ( is not supported: "));
}

}  // namespace
}  // namespace birkhoff
