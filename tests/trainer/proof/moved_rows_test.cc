#include "trainer/proof/moved_rows.h"

#include <gmock/gmock.h>

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const BalancedTable kTable{"rows", {0, 4}, 0.5, 0.1};

// A table of two matrices of four rows, each of one column. The norms of the updates of the first are 1, 0.1, 0.01 and
// 2.89, so the threshold is 0.1 times their mean, 0.1, which row 1 has. The second is 100 times as large.
struct Tables {
  Tables() {
    const std::vector<double> updates = {1, 0.1, 0.01, 2.89, 100, 10.1, 1, 289};
    std::vector<double> old, moved_values;
    for (size_t i = 0; i < updates.size(); ++i) {
      old.push_back(static_cast<double>(i));
      const bool moves = i == 0 || i == 3 || i == 4 || i == 5 || i == 7;
      moved_values.push_back(old.back() + (moves ? 0.5 : 0));
    }
    // Half of each update comes from the momentum, and half from the gradient.
    expected.before.tensors["model.rows"] = {{8, 1}, old};
    expected.after.tensors["model.rows"] = layout.state.tensors["model.rows"] = {{8, 1}, moved_values};
    expected.after.tensors["balanced.momentum.rows"] = layout.row_gradients.tensors["rows"] = {{8, 1}, updates};
  }
  double& of_layout(size_t row) { return layout.state.tensors["model.rows"].values[row]; }
  Verdict verdict() const { return judge_moved_rows(expected, layout, kTable); }
  OwnUpdate expected;
  StepResult layout;
};

TEST(MovedRows, AreThoseOfOneRank) {
  const Verdict v = Tables().verdict();
  EXPECT_THAT(v.failures, IsEmpty());
  EXPECT_THAT(v.notes, IsEmpty());
  EXPECT_EQ(v.exact.at("moved rows"), 5);
}

TEST(MovedRows, OfTheLayoutOnlyAreAFailure) {
  Tables t;
  t.of_layout(2) += 1e-9;
  EXPECT_THAT(t.verdict().failures, ElementsAre(HasSubstr("rows: row 2 moved in the layout only")));
}

TEST(MovedRows, OfOneRankOnlyAreAFailure) {
  Tables t;
  t.of_layout(5) = 5;  // 1 % above the threshold of its matrix
  EXPECT_THAT(t.verdict().failures, ElementsAre(HasSubstr("rows: row 5 moved on one rank only")));
}

TEST(MovedRows, WithinRoundingOfTheThresholdAreListed) {
  Tables t;
  t.of_layout(1) += 0.5;
  const Verdict v = t.verdict();
  EXPECT_THAT(v.failures, IsEmpty());
  EXPECT_THAT(v.notes, ElementsAre(HasSubstr("row 1 moved in the layout only")));
}

}  // namespace
}  // namespace birkhoff::test
