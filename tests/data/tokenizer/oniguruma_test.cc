#include "data/tokenizer/oniguruma.h"

#include <gmock/gmock.h>

#include "data/tokenizer/regex.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

std::string translated(const std::string& pattern) {
  try {
    return translate_oniguruma(pattern);
  } catch (const UserError& error) {
    return error.what();
  }
}

TEST(Oniguruma, RepeatsAnIntervalThatAPlusFollows) {
  EXPECT_EQ(translated("a{1,3}+"), "(?:a{1,3})+");
  EXPECT_EQ(translated("x(?:ab){2}?y"), "x(?:(?:ab){2})?y");
  EXPECT_EQ(translated("[ab]{,3}"), "[ab]{0,3}");
  EXPECT_EQ(translated("a{1,3}?"), "a{1,3}?");
  EXPECT_EQ(translated("a++b*+c?+"), "a++b*+c?+");
  EXPECT_EQ(translated("a{,}b{x"), "a\\{,\\}b\\{x");
  EXPECT_THAT(translated("a{3,1}"), HasSubstr("{3,1}"));
}

TEST(Oniguruma, LetsAnOptionReachToTheEndOfItsGroup) {
  EXPECT_EQ(translated("a(?i)b|c"), "a(?i:b|c)");
  EXPECT_EQ(translated("(a(?i)b|c)d"), "(a(?i:b|c))d");
  EXPECT_EQ(translated("(?x: a b # c\n) d"), "(?-i:ab) d");
}

TEST(Oniguruma, RefusesByNameWhatPcre2WouldReadDifferently) {
  for (const char* construct : {"\\b", "\\B", "\\h", "\\R",  "\\X", "\\K", "\\G", "\\1", "\\pL", "\\k",
                                "\\N", "(?m", "(?~", "(?<n", "(?#", "(?R", "(*",  "\\0", "\\c",  "\\xe9"}) {
    EXPECT_THAT(translated(concat(construct, "a)")), HasSubstr(concat(" uses ", std::string(construct).substr(0, 2))));
  }
  for (const char* pattern : {"[a[b]]", "[[:alpha:]]", "[a&&b]", "[\\S]", "a**", "*a", "^*", "(?=a)*", "[a", "(a", "a)",
                              "\\", "(?i)ss", "(?i)\u00df", "(?i)s+", "(?i)fi", "(?i)[\\p{L}]", "(?i)\\p{Lu}"}) {
    EXPECT_THAT(translated(pattern), HasSubstr("which this tokenizer does not support")) << pattern;
  }
}

// Messages about patterns of hundreds of kilobytes, or with more names than PCRE2 compiles, must not fill the terminal.
TEST(Oniguruma, ShowsTheBeginningOfALongPattern) {
  std::string words = "\u00e9";
  while (words.size() < 300'000) words += "\u00e9|w" + std::to_string(words.size());
  for (const std::string& pattern : {words, words + "[", "(" + words, words + "\\p{Foo}"}) {
    try {
      Regex{pattern};
      FAIL();
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(concat("... (", pattern.size(), " bytes)")));
      EXPECT_LT(std::string(error.what()).size(), 700u);
    }
  }
}

TEST(Oniguruma, KeepsThePatternsOfPublicTokenizers) {
  EXPECT_NO_THROW(
      Regex(R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$)"));
  EXPECT_NO_THROW(Regex(R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'re)?)"));
}

}  // namespace
}  // namespace birkhoff
