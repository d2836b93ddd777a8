#include "kernels/core/printable.h"

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

TEST(Printable, LeavesPlainTextUnchanged) {
  const std::string text =
      "a line\n\tStra\xc3\x9f"
      "e, \xe6\x97\xa5\xe6\x9c\xac, \xe2\x80\x94, \xf0\x9f\x99\x82 \xff";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, ShowsControlCharactersByTheirNumbers) {
  EXPECT_EQ(printable("\x1b[2J\r\x7f"), "\\x1b[2J\\x0d\\x7f");
  EXPECT_EQ(printable(std::string(1, '\0')), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b\xe2\x81\xa6"),
            "a\\u202eb\\u2066");
}

TEST(Printable, LeavesATruncatedCharacter) {
  for (const char* cut : {"\xc2", "\xe2", "\xe2\x80"}) EXPECT_EQ(printable(cut), cut);
}

}  // namespace
}  // namespace birkhoff
