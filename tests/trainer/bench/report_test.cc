#include "trainer/bench/report.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "trainer/bench/timing.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Report example() {
  Report r{"example", {}, {}, {}};
  r.add("tokens_per_second", 12345.678, "tokens/s", "of something");
  r.add("share", 0.01234, "", "of the rest");
  r.tables.push_back({"ops", {"op", "ms"}, {{std::string("gemm"), 1.5}, {std::string("add"), Cell()}}});
  r.notes.push_back("a remark");
  return r;
}

TEST(Report, PrintsFiguresTablesAndNotes) {
  EXPECT_THAT(to_text(example()), AllOf(HasSubstr("tokens_per_second         12346 tokens/s of something\n"),
                                        HasSubstr("share                    0.0123"), HasSubstr("gemm  1.500\n"),
                                        HasSubstr("add       -\n"), HasSubstr("a remark\n")));
}

TEST(Report, IsOneJsonObjectOnOneLineWithFullPrecision) {
  const std::string text = to_json(example());
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const auto j = nlohmann::json::parse(text);
  EXPECT_EQ(j["scenario"], "example");
  EXPECT_EQ(j["tokens_per_second"], 12345.678);
  EXPECT_EQ(j["ops"][0]["op"], "gemm");
  EXPECT_EQ(j["ops"][0]["ms"], 1.5);
  EXPECT_TRUE(j["ops"][1]["ms"].is_null());
}

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoInTheMiddle) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({9, 1, 5, 2}), 3.5);
}

}  // namespace
}  // namespace birkhoff
