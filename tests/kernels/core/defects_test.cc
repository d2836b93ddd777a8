#include "kernels/core/defects.h"

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string message_of(const Defects& defects, const std::string& what) {
  try {
    defects.throw_if_any(what);
  } catch (const DataError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(Defects, ReportASingleOneWithoutACount) {
  Defects defects;
  EXPECT_EQ(message_of(defects, "f"), "nothing");
  defects.add("a is 1");
  EXPECT_EQ(message_of(defects, "f"), "f: a is 1");
  Defects named;
  named.add("f: a is 1");
  EXPECT_EQ(message_of(named, "f"), "f: a is 1");
}

TEST(Defects, ReturnTheAlternativeIfAValueCannotBeRead) {
  Defects defects;
  const auto refused = []() -> int { throw DataError("b is 2"); };
  EXPECT_EQ(defects.value([] { return 5; }), 5);
  EXPECT_EQ(defects.value(refused), 0);
  EXPECT_EQ(defects.value(refused, 7), 7);
  EXPECT_EQ(message_of(defects, "f"), "f: 2 defects:\n  b is 2\n  b is 2");
}

TEST(Defects, LetOtherErrorsThrough) {
  Defects defects;
  EXPECT_THROW(defects.check([] { throw UserError("no memory"); }), UserError);
  EXPECT_TRUE(defects.empty());
}

TEST(Defects, ShowTwentyAndCountTheOthers) {
  Defects defects;
  for (int i = 0; i < 25; ++i) defects.add(concat("defect ", i));
  EXPECT_EQ(defects.count(), 25u);
  const std::string text = message_of(defects, "f");
  EXPECT_THAT(text, HasSubstr("f: 25 defects:\n  defect 0\n"));
  EXPECT_THAT(text, HasSubstr("\n  defect 19\n  and 5 more"));
  EXPECT_THAT(text, Not(HasSubstr("defect 20")));
}

}  // namespace
}  // namespace birkhoff
