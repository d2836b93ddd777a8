#include "data/ingest/json_lines.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string text_of(const std::string& line, const std::string& field = "text") {
  try {
    return text_of_json_line(line, field, "here");
  } catch (const DataError& error) {
    return error.what();
  }
}

TEST(TextOfJsonLine, FindsNestedKeysButPrefersAKeyWithTheWholeName) {
  const std::string line = R"({"a": {"b": "nested", "c.d": "deep"}, "a.b": "named", "a.c": {"d": 1}})";
  EXPECT_EQ(text_of(line, "a.b"), "named");
  EXPECT_EQ(text_of(R"({"a": {"b": "nested"}})", "a.b"), "nested");
  EXPECT_EQ(text_of(line, "a.c.d"), "here: 'a.c.d' is number, expected a string");
  EXPECT_EQ(text_of(R"({"a": 1})", "a.b"), "here: has no 'a.b'; --json-field names the key of the text");
}

TEST(TextOfJsonLine, IgnoresNumbersOutsideTheText) {
  std::string numbers;
  for (int i = 0; i < 100000; ++i) numbers += "1e999,-2.5E+400,";
  EXPECT_EQ(text_of("{\"n\": [" + numbers + std::string(500, '9') + "], \"text\": \"1e999 \\\" 1e9\"}"),
            "1e999 \" 1e9");
  EXPECT_EQ(text_of(R"({"text": 1e999})"), "here: 'text' is number, expected a string");
  EXPECT_THAT(text_of(R"({"text": "a", "n": 1e})"), HasSubstr("is not JSON"));
  EXPECT_THAT(text_of(R"({"text": "a", "n": 01})"), HasSubstr("is not JSON"));
}

TEST(TextOfJsonLine, SaysWhatIsWrong) {
  EXPECT_THAT(text_of(R"({"text": "a", "n": NaN})"), HasSubstr("NaN at byte 20"));
  EXPECT_THAT(text_of(R"({"text": "a", "n": -Infinity})"), HasSubstr("Infinity"));
  EXPECT_THAT(text_of(R"({"text": "\ud83d"})"), HasSubstr("half of a surrogate pair"));
  EXPECT_THAT(text_of(R"({"text": "a", "text": "b"})"), HasSubstr("has the key 'text' twice"));
  EXPECT_THAT(text_of("{\"text\": \"\xff\"}"), AllOf(HasSubstr("UTF-8"), HasSubstr("last read: '\"\xef\xbf\xbd'")));
  EXPECT_EQ(text_of(R"({"text": null})"), "here: 'text' is null, expected a string");
  EXPECT_EQ(text_of("[]"), "here: is array, expected an object");
  const std::string open(100000, '['), close(100000, ']');
  EXPECT_THAT(text_of("{\"a\": " + open), HasSubstr("nested deeper"));
  EXPECT_THAT(text_of("{\"a\": " + open + close + "}"), HasSubstr("nested deeper"));
  EXPECT_EQ(text_of("{\"text\": \"a\"}\r"), "a");
}

}  // namespace
}  // namespace birkhoff
