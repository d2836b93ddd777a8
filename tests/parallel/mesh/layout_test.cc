#include "parallel/mesh/layout.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(std::string_view text) {
  try {
    parse_layout(text);
    return "";
  } catch (const UserError& e) {
    return e.what();
  }
}

TEST(Layout, IsReadInAnyOrder) {
  for (const char* text : {"tp2.dp3.ep4", "ep4.dp3.tp2", "dp3.ep4.tp2"}) {
    const MeshDegrees d = parse_layout(text);
    EXPECT_EQ(d.tp, 2);
    EXPECT_EQ(d.dp, 3);
    EXPECT_EQ(d.ep, 4);
    EXPECT_EQ(d.pp * d.cp * d.etp * d.engram, 1);
    EXPECT_EQ(layout_name(d), "tp2.dp3.ep4");
  }
  const MeshDegrees all = parse_layout("engram6.ep3.etp2.pp5.dp7.cp8.tp9");
  EXPECT_EQ(layout_name(all), "tp9.cp8.dp7.pp5.etp2.ep3.engram6");
  EXPECT_EQ(layout_name(parse_layout(layout_name(all))), layout_name(all));
}

TEST(Layout, LeavesDpOpenAndOtherAxesAtOne) {
  EXPECT_EQ(parse_layout("tp2").dp, 0);
  EXPECT_EQ(parse_layout("1").tp, 1);
  EXPECT_EQ(layout_name(parse_layout("1")), "1");
  EXPECT_EQ(layout_name(parse_layout("tp1.dp1")), "1");
}

TEST(Layout, SaysAllThatIsWrong) {
  EXPECT_THAT(refusal("tp2.xp3.dp0.tp4"),
              AllOf(HasSubstr("layout 'tp2.xp3.dp0.tp4':"),
                    HasSubstr("'xp3' is not an axis with its degree; did you mean tp3?"),
                    HasSubstr("'dp0' needs a degree"), HasSubstr("'tp4' names an axis a second time")));
  for (const char* bad : {"", ".", "tp", "2tp", "tp2.", ".tp2", "tp-2", "tp2x", "tp 2", "tp2,dp2", "edp2", "TP2",
                          "tp1e3", "tp99999999999999999999", "tp1000001", "11"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
}

TEST(Layout, NamesTheNearestAxisOrAllAxes) {
  EXPECT_THAT(refusal("TP2"), HasSubstr("did you mean tp2?"));
  EXPECT_THAT(refusal("tp-2"), HasSubstr("did you mean tp2?"));
  EXPECT_THAT(refusal("dp2.engrams4"), HasSubstr("did you mean engram4?"));
  EXPECT_THAT(refusal("pipeline2"), HasSubstr("the axes are tp, cp, dp, pp, etp, ep and engram"));
  EXPECT_THAT(refusal("xp2.EP4"), AllOf(HasSubstr("'xp2' is not"), HasSubstr("did you mean ep4?")));
}

TEST(Layout, KnowsWhichAxesWereNamed) {
  const std::vector<AxisDegree> axes = read_layout("ep2.tp1").axes;
  ASSERT_EQ(axes.size(), 2u);
  EXPECT_EQ(axes[0].axis, Axis::ep);
  EXPECT_EQ(axes[0].degree, 2);
  EXPECT_EQ(axes[1].axis, Axis::tp);
  EXPECT_TRUE(read_layout("1").axes.empty());
}

TEST(Layout, MayNameTheGroupedDispatch) {
  for (const char* text : {"dp2.ep2.grouped", "grouped.ep2.dp2"}) {
    EXPECT_EQ(parse_layout(text).dispatch, Dispatch::grouped);
    EXPECT_EQ(layout_name(parse_layout(text)), "dp2.ep2.grouped");
  }
  EXPECT_EQ(parse_layout("ep2").dispatch, Dispatch::plain);
  EXPECT_FALSE(read_layout("ep2").names_dispatch);
  EXPECT_THAT(refusal("ep2.Grouped"), HasSubstr("did you mean grouped?"));
  EXPECT_THAT(refusal("ep2.grouped.grouped"), HasSubstr("'grouped' stands a second time"));
  EXPECT_THAT(refusal("dp2.grouped"), HasSubstr("but ep is 1"));
  EXPECT_THAT(refusal("ep2.group"), HasSubstr("'group' is not an axis with its degree"));
}

TEST(Layout, FillsAnOpenDpWithTheLeast) {
  const auto least = [](std::string_view text) { return layout_name(with_least_dp(parse_layout(text))); };
  EXPECT_EQ(least("1"), "1");
  EXPECT_EQ(least("ep2"), "dp2.ep2");
  EXPECT_EQ(least("tp2.ep2"), "tp2.ep2");
  EXPECT_EQ(least("tp2.etp3.ep2"), "tp2.dp3.etp3.ep2");
  EXPECT_EQ(least("tp4.engram6"), "tp4.dp3.engram6");
  EXPECT_EQ(least("dp5.ep2"), "dp5.ep2") << "a given dp stays";
  EXPECT_THROW(least("etp999999.ep999998"), UserError);
}

}  // namespace
}  // namespace birkhoff
