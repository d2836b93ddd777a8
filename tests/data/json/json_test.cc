#include "data/json/json.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace birkhoff {
namespace {

using testing::HasSubstr;

std::string refusal_of(const std::function<void()>& body) {
  try {
    body();
    return "accepted";
  } catch (const DataError& error) {
    return error.what();
  }
}
std::string refusal_of_text(std::string_view text) {
  return refusal_of([&] { parse_json(text, "f.json"); });
}
std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, ReadsValidJson) {
  EXPECT_EQ(parse_json(R"({"a": [1, -2, 1.5, "x\n", null, true]})", "f")["a"].size(), 6);
  EXPECT_EQ(parse_json("18446744073709551615", "f").get<uint64_t>(), UINT64_MAX);
}

TEST(ParseJson, LimitsTheDepth) {
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth), "f.json"));
  EXPECT_THAT(refusal_of_text(nested(kMaxJsonDepth + 1)), HasSubstr("f.json: its values are nested deeper than 100"));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_THAT(refusal_of_text(objects), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal_of_text(objects + "1" + std::string(100000, '}')), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal_of_text(nested(100000)), HasSubstr("nested deeper"));
}

TEST(ParseJson, RefusesAKeyThatIsGivenTwiceInOneObject) {
  EXPECT_THAT(refusal_of_text(R"({"a": 1, "b": {"c": 1, "c": 2}})"), HasSubstr("has the key 'c' twice"));
  EXPECT_THAT(refusal_of_text(R"({"a": 1, "\u0061": 1})"), HasSubstr("has the key 'a' twice"));
  EXPECT_NO_THROW(parse_json(R"([{"a": 1}, {"a": {"a": 1}}])", "f"));
}

TEST(ParseJson, SaysWhatIsWrong) {
  for (const char* text : {"", "{", "[1,]", "'a'", "{\"a\" 1}", "1 2", "\"\xff\""}) {
    EXPECT_THAT(refusal_of_text(text), HasSubstr("f.json: is not JSON")) << text;
  }
  EXPECT_THAT(refusal_of_text("[1, NaN]"), HasSubstr("NaN at byte 5 is not JSON"));
  EXPECT_THAT(refusal_of_text("[-Infinity]"), HasSubstr("Infinity at byte 3 is not JSON"));
  EXPECT_THAT(refusal_of_text("[nan]"), HasSubstr("nan at byte 2 is not JSON"));
  EXPECT_THAT(refusal_of_text("[1e999]"), HasSubstr("number overflow"));
}

// Without a check, the parser takes a zero byte for the end of the text.
TEST(ParseJson, RefusesZeroBytes) {
  using namespace std::string_view_literals;
  EXPECT_THAT(refusal_of_text("{} \0{"sv), HasSubstr("f.json: is not JSON: a zero byte at byte 4"));
  EXPECT_THAT(refusal_of_text("[1]\0"sv), HasSubstr("a zero byte at byte 4"));
}

TEST(ParseJson, ShowsTheBeginningOfALongKeyInAscii) {
  const std::string key = "\x1b" + std::string(100000, 'k');
  const std::string said =
      refusal_of_text("{\"\\u001b" + key.substr(1) + "\": 1, \"\\u001b" + key.substr(1) + "\": 2}");
  EXPECT_THAT(said, HasSubstr("the key '\\u001bkkk"));
  EXPECT_LT(said.size(), 200u);
}

// An earlier parser walked all members of an object again for each object inside it: 60,000 of them took half a minute.
TEST(ParseJson, TakesTimeProportionalToTheLengthOfTheText) {
  std::string text = "{\"m\": {";
  for (int i = 0; i < 200000; ++i) text += concat(i > 0 ? "," : "", "\"k", i, "\": {\"a\": [{}]}");
  EXPECT_EQ(parse_json(text + "}}", "f")["m"].size(), 200000u);
}

TEST(ParseJson, KeepsEveryKindOfValueInItsPlace) {
  const char* text = R"([{"a":[1,[],{}],"b":{"c":null,"d":[[-1.5,"x"],true]}},[[["y"]]],{},0])";
  EXPECT_EQ(parse_json(text, "f").dump(), text);
  EXPECT_EQ(parse_json(" 7 ", "f"), 7);
}

TEST(JsonView, ChecksTypeSignAndRangeOfWholeNumbers) {
  const Json json = parse_json(R"({"a": {"n": [0, -1, 5, 1.0, "1", true, 18446744073709551615, 1e3, null]}})", "f");
  const auto n = JsonView(json, "f.json").at("a").at("n").elements();
  EXPECT_EQ(n[0].integer(), 0);
  EXPECT_EQ(n[1].integer(-1, 5), -1);
  EXPECT_EQ(n[2].integer(-1, 5), 5);
  EXPECT_THAT(refusal_of([&] { n[1].integer(); }),
              HasSubstr("f.json: a.n[1] is -1, expected a whole number from 0 to 9223372036854775807"));
  EXPECT_THAT(refusal_of([&] { n[2].integer(0, 4); }), HasSubstr("a.n[2] is 5, expected a whole number from 0 to 4"));
  for (size_t i = 3; i < n.size(); ++i) {
    EXPECT_THAT(refusal_of([&] { n[i].integer(); }), HasSubstr("expected a whole number")) << i;
  }
  EXPECT_THAT(refusal_of([&] { n[6].integer(-5, -1); }), HasSubstr("expected a whole number from -5 to -1"));
}

TEST(JsonView, ChecksTextNamesAndDigits) {
  const Json json =
      parse_json(R"({"s": "x", "up": "../x", "h": "0123456789abcdef", "H": "0123456789ABCDEF", "b": true})", "f");
  const JsonView view(json, "f.json");
  EXPECT_EQ(view.at("s").text(), "x");
  EXPECT_EQ(view.at("s").plain_name(), "x");
  EXPECT_EQ(view.at("h").hex64(), 0x0123456789abcdefu);
  EXPECT_TRUE(view.at("b").boolean());
  EXPECT_THAT(refusal_of([&] { view.at("b").text(); }), HasSubstr("f.json: b is true, expected a string"));
  EXPECT_THAT(refusal_of([&] { view.at("up").plain_name(); }), HasSubstr("expected the plain name of a file"));
  EXPECT_THAT(refusal_of([&] { view.at("H").hex64(); }), HasSubstr("expected 16 hexadecimal digits"));
  EXPECT_THAT(refusal_of([&] { view.at("s").boolean(); }), HasSubstr("expected true or false"));
}

TEST(JsonView, ChecksTheMembersOfObjects) {
  const Json json = parse_json(R"({"a": {"x": 1, "y": 2}, "l": [3]})", "f");
  const JsonView view(json, "f.json");
  EXPECT_TRUE(view.has("a"));
  EXPECT_FALSE(view.has("b"));
  EXPECT_EQ(view.at("a").members()[1].first, "y");
  EXPECT_EQ(view.at("a").members()[1].second.integer(), 2);
  EXPECT_THAT(refusal_of([&] { view.at("b"); }), HasSubstr("f.json has no 'b'"));
  EXPECT_THAT(refusal_of([&] { view.at("a").at("z"); }), HasSubstr("f.json: a has no 'z'"));
  EXPECT_THAT(refusal_of([&] { view.at("l").at("z"); }), HasSubstr("f.json: l is [3], expected an object"));
  EXPECT_THAT(refusal_of([&] { view.at("a").elements(); }), HasSubstr("expected an array"));
  EXPECT_THAT(refusal_of([&] { view.at("a").allow_only({"x"}); }), HasSubstr("f.json: a.y is not known"));
  EXPECT_NO_THROW(view.at("a").allow_only({"x", "y"}));
}

}  // namespace
}  // namespace birkhoff
