#include "parallel/comm/wait_chain.h"

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using End = WaitChain::End;

const RankDump kWorks{"it waits in no operation", {}, "broadcast of group world (data.cc:7), done"};

RankDump waits_in(const std::string& operation, std::vector<int> missing) {
  return {"it has waited in " + operation, {{operation, std::move(missing)}}, operation};
}

std::string described(const RankDumps& dumps) { return describe(follow_all_waits(dumps, 0), dumps, {}); }

TEST(WaitChain, LeadsThroughTwoGroupsToASilentRank) {
  const RankDumps dumps{waits_in("op 7 of dp", {2}), waits_in("op 7 of dp", {3}), waits_in("op 4 of tp", {3}), {}};
  const WaitChain chain = follow_waits(dumps, 0);
  EXPECT_EQ(chain.end, End::silent);
  EXPECT_THAT(chain.ranks, ElementsAre(0, 2, 3));
  const LayoutNames names{"tp2.dp2", {"tp 0, dp 0", "tp 1, dp 0", "tp 0, dp 1", "tp 1, dp 1"}};
  EXPECT_EQ(describe(follow_all_waits(dumps, 0), dumps, names),
            "the cause is in rank 3 of 4 (tp 1, dp 1), which is silent: it is stopped or dead, or its deadline has not "
            "passed yet; rank 0 waits for rank 2: op 7 of dp; rank 2 waits for rank 3: op 4 of tp");
  EXPECT_EQ(list_dumps(dumps, names),
            "  rank 0 of 4 (tp 0, dp 0): it has waited in op 7 of dp\n"
            "  rank 1 of 4 (tp 1, dp 0): it has waited in op 7 of dp\n"
            "  rank 2 of 4 (tp 0, dp 1): it has waited in op 4 of tp\n  rank 3 of 4 (tp 1, dp 1): silent\n");
}

TEST(WaitChain, LeadsToARankThatWaitsForNobodyAndSaysWhatItDid) {
  const RankDumps dumps{waits_in("op 7 of dp", {2}), kWorks, waits_in("op 4 of tp", {1})};
  const WaitChain chain = follow_waits(dumps, 0);
  EXPECT_EQ(chain.end, End::own_work);
  EXPECT_THAT(chain.ranks, ElementsAre(0, 2, 1));
  EXPECT_THAT(described(dumps), HasSubstr("rank 1 of 3, which waits for no other rank; its last operation: "
                                          "broadcast of group world (data.cc:7), done; rank 0 waits"));
}

TEST(WaitChain, MayBeOneRank) {
  const RankDumps dumps{kWorks};
  EXPECT_EQ(described(dumps),
            "the cause is in rank 0 of 1, which waits for no other rank; its last operation: broadcast of group world "
            "(data.cc:7), done");
}

TEST(WaitChain, NamesTheRanksThatWaitForEachOther) {
  const RankDumps dumps{waits_in("a", {1}), waits_in("b", {2}), waits_in("c", {3}), waits_in("d", {1})};
  const WaitChain chain = follow_waits(dumps, 0);
  EXPECT_EQ(chain.end, End::cycle);
  EXPECT_THAT(chain.ranks, ElementsAre(1, 2, 3));
  EXPECT_EQ(described(dumps),
            "ranks 1, 2, 3 wait for each other, since they call operations in different orders; rank 1 waits for rank "
            "2: b; rank 2 waits for rank 3: c; rank 3 waits for rank 1: d");
}

TEST(WaitChain, PrefersASilentRankToOneThatIsBusyAndToACycle) {
  EXPECT_THAT(follow_waits({waits_in("a", {1, 2}), kWorks, {}}, 0).ranks, ElementsAre(0, 2));
  EXPECT_THAT(follow_waits({waits_in("a", {1}), waits_in("b", {0, 2}), {}}, 0).ranks, ElementsAre(0, 1, 2));
}

TEST(WaitChain, AnOperationThatAllHaveJoinedWaitsForTheSilentRanks) {
  const RankDumps dumps{waits_in("a", {1}), waits_in("b", {}), kWorks, {}};
  EXPECT_THAT(follow_waits(dumps, 0).ranks, ElementsAre(0, 1, 3));
  EXPECT_THAT(described(dumps), HasSubstr("rank 1 waits for rank 3: b"));
}

TEST(WaitChain, EndsInAnOperationThatAllHaveJoinedWhereNobodyIsSilent) {
  const RankDumps dumps{waits_in("a", {1}), waits_in("b", {})};
  const WaitChain chain = follow_waits(dumps, 0);
  EXPECT_EQ(chain.end, End::joined);
  EXPECT_THAT(described(dumps), HasSubstr("the cause is in rank 1 of 2, it has waited in b; rank 0 waits"));
}

TEST(WaitChain, NamesEveryRootOfIndependentChains) {
  // Rank 0 waits for rank 1, which works; ranks 2 and 3 wait for each other; rank 5 is silent, and rank 4 waits for it.
  const RankDumps dumps{waits_in("a", {1}), kWorks, waits_in("c", {3}), waits_in("d", {2}), waits_in("e", {5}), {}};
  EXPECT_THAT(described(dumps),
              AllOf(StartsWith("the cause is in rank 1 of 6, which waits for no other rank; "),
                    HasSubstr("; also, ranks 2, 3 wait for each other, since they call operations in different orders; "
                              "rank 2 waits for rank 3: c; rank 3 waits for rank 2: d; "),
                    HasSubstr("; a further cause is in rank 5 of 6, which is silent: "),
                    HasSubstr("rank 4 waits for rank 5: e")));
}

// An operation that all have joined is over soon, or says nothing of a cause.
TEST(WaitChain, NamesNoFurtherRootWhereARankWaitsInAnOperationThatAllHaveJoined) {
  EXPECT_EQ(follow_all_waits({waits_in("a", {1}), kWorks, waits_in("b", {})}, 0).size(), 1u);
}

TEST(WaitChain, CountsFurtherCausesBeyondTheFirstOnes) {
  const RankDumps dumps{kWorks, {}, {}, {}, {}, {}, {}};
  EXPECT_THAT(described(dumps), EndsWith("; and 3 further causes"));
  EXPECT_THAT(described(dumps), Not(HasSubstr("rank 4 of 7")));
}

TEST(WaitChain, IgnoresRanksThatCannotBe) {
  EXPECT_THAT(follow_waits({waits_in("a", {0, -1, 9, 1}), kWorks}, 0).ranks, ElementsAre(0, 1));
}

}  // namespace
}  // namespace birkhoff
