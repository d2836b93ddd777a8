#pragma once
#include <string>
#include <vector>

#include "trainer/proof/judge.h"

namespace birkhoff {

// A table under the balanced update (kernels/optim/sinkhorn_balanced.h), which does not move rows whose update is small
// compared with the mean of their matrix.
struct BalancedTable {
  std::string name;
  std::vector<int64_t> matrix_begins;  // the rows at which its matrices begin
  double momentum = 0, threshold = 0;
};

// Judges which rows of a table the update of a layout moved: exactly those that one rank's optimizer moves, with the
// same gradients. Rounding may decide only about a row whose norm is within 1e-4 of the threshold; such a row is listed
// if it moved in one of the two.
Verdict judge_moved_rows(const OwnUpdate& expected, const StepResult& layout, const BalancedTable& table);

}  // namespace birkhoff
