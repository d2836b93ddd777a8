#include "trainer/proof/moved_rows.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr double kNearThreshold = 1e-4;

using Rows = std::span<const double>;
Rows row_of(const Whole::Tensor& tensor, int64_t row) {
  const auto width = static_cast<size_t>(tensor.shape[1]);
  return Rows(tensor.values).subspan(static_cast<size_t>(row) * width, width);
}

bool moved(const Whole::Tensor& before, const Whole::Tensor& after, int64_t row) {
  return !std::ranges::equal(row_of(before, row), row_of(after, row));
}

// The norm of a row of U, of which the update is made: U = beta M + (1 - beta) g with the new momentum M.
double update_norm(Rows momentum, Rows gradient, double beta) {
  double squares = 0;
  for (size_t i = 0; i < momentum.size(); ++i) {
    const double u = beta * momentum[i] + (1 - beta) * gradient[i];
    squares += u * u;
  }
  return std::sqrt(squares);
}

}  // namespace

Verdict judge_moved_rows(const OwnUpdate& expected, const StepResult& layout, const BalancedTable& table) {
  Verdict v;
  const std::string weight = "model." + table.name;
  const Whole::Tensor &before = expected.before.tensors.at(weight), &one = expected.after.tensors.at(weight),
                      &other = layout.state.tensors.at(weight),
                      &momentum = expected.after.tensors.at("balanced.momentum." + table.name),
                      &gradient = layout.row_gradients.tensors.at(table.name);
  const int64_t num_rows = before.shape[0];
  for (size_t m = 0; m < table.matrix_begins.size(); ++m) {
    const int64_t begin = table.matrix_begins[m],
                  end = m + 1 < table.matrix_begins.size() ? table.matrix_begins[m + 1] : num_rows;
    std::vector<double> norms;
    double sum = 0;
    for (int64_t row = begin; row < end; ++row) {
      norms.push_back(update_norm(row_of(momentum, row), row_of(gradient, row), table.momentum));
      sum += norms.back();
    }
    const double threshold = table.threshold * sum / static_cast<double>(std::max<int64_t>(1, end - begin));
    for (int64_t row = begin; row < end; ++row) {
      const bool of_one = moved(before, one, row), of_layout = moved(before, other, row);
      v.exact["moved rows"] += of_one;
      if (of_one == of_layout) continue;
      const double norm = norms[static_cast<size_t>(row - begin)];
      const bool near = std::abs(norm - threshold) <= kNearThreshold * threshold;
      const std::string what = concat(table.name, ": row ", row, " moved ", of_layout ? "in the layout" : "on one rank",
                                      " only; the norm of its update is ", norm, ", the threshold ", threshold);
      (near ? v.notes : v.failures).push_back(what);
    }
  }
  return v;
}

}  // namespace birkhoff
