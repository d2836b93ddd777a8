#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/optim/row_ids.h"
#include "kernels/optim/sinkhorn_phases.h"

namespace birkhoff::reference {
namespace {

using Row = std::vector<double>;

// (1 - beta) * grad_scale * the gradient of row i.
Row gradient(const SinkhornBalancedArgs& a, int64_t i) {
  const int64_t n = a.weight.shape.back();
  Row g(static_cast<size_t>(n), 0.0);
  if (a.grad.count() == 0) return g;
  int64_t at = i;
  if (a.rows.present()) {
    const RowIds ids(a.rows);
    at = ids.lower_bound(a.first_row + i);
    if (at == ids.count() || ids[at] != a.first_row + i) return g;
  }
  for (int64_t j = 0; j < n; ++j) {
    g[static_cast<size_t>(j)] = (1 - a.hyper.momentum) * a.hyper.grad_scale * a.grad.as<double>()[at * n + j];
  }
  return g;
}

double norm(const Row& u) {
  double sum = 0;
  for (double x : u) sum += x * x;
  return std::sqrt(sum);
}

Row update_of(const SinkhornPhase& p, int64_t i) {
  Row u = gradient(p.args, i);
  const auto n = static_cast<int64_t>(u.size());
  for (int64_t j = 0; j < n; ++j) {
    auto& x = u[static_cast<size_t>(j)];
    x += p.args.hyper.momentum * p.args.momentum.as<double>()[i * n + j];
    x *= p.row_scale.as<double>()[i] * p.column_scale.as<double>()[j];
  }
  return u;
}

void normalise_rows(const SinkhornPhase& p) {
  for (int64_t i = 0; p.rows == SinkhornPhase::Rows::normalise && i < p.row_scale.count(); ++i) {
    const double size = norm(update_of(p, i));
    if (size > 0) p.row_scale.as<double>()[i] /= size + p.args.hyper.eps;
  }
}

}  // namespace

void sinkhorn_momentum(const SinkhornPhase& p) {
  const int64_t m = p.row_scale.count(), n = p.column_scale.count();
  std::fill_n(p.row_scale.as<double>(), m, 1.0);
  std::fill_n(p.column_scale.as<double>(), n, 1.0);
  double sum = 0;
  for (int64_t i = 0; i < m; ++i) {
    const Row g = gradient(p.args, i);
    double* M = p.args.momentum.as<double>() + i * n;
    for (int64_t j = 0; j < n; ++j) M[j] = p.args.hyper.momentum * M[j] + g[static_cast<size_t>(j)];
    sum += p.row_scale.as<double>()[i] = norm(update_of(p, i));
  }
  *p.rho_sum.as<double>() = sum;
}

void sinkhorn_select(const SinkhornPhase& p) {
  const int64_t m = p.row_scale.count();
  const double mean = *p.rho_sum.as<double>() / static_cast<double>(p.args.num_rows ? p.args.num_rows : m);
  for (int64_t i = 0; i < m; ++i) {
    double& r = p.row_scale.as<double>()[i];
    r = r <= p.args.hyper.threshold * mean ? 0 : 1 / (r + p.args.hyper.eps);
  }
}

void sinkhorn_sum_columns(const SinkhornPhase& p) {
  normalise_rows(p);
  double* sums = p.column_sums.as<double>();
  std::fill_n(sums, p.column_sums.count(), 0.0);
  for (int64_t i = 0; i < p.row_scale.count(); ++i) {
    const Row u = update_of(p, i);
    for (size_t j = 0; j < u.size(); ++j) sums[j] += u[j] * u[j];
  }
}

void sinkhorn_scale_columns(const SinkhornPhase& p) {
  for (int64_t j = 0; j < p.column_scale.count(); ++j) {
    const double sum = p.column_sums.as<double>()[j];
    if (sum > 0) p.column_scale.as<double>()[j] /= std::sqrt(sum) + p.args.hyper.eps;
  }
}

void sinkhorn_apply(const SinkhornPhase& p) {
  normalise_rows(p);
  const int64_t n = p.column_scale.count();
  const double factor = p.args.hyper.gamma * p.args.hyper.learning_rate * std::sqrt(static_cast<double>(n));
  for (int64_t i = 0; i < p.row_scale.count(); ++i) {
    const Row u = update_of(p, i);
    for (int64_t j = 0; j < n; ++j) {
      double& w = p.args.weight.as<double>()[i * n + j];
      w -= factor * u[static_cast<size_t>(j)];
      if (p.args.weight_copy.present()) p.args.weight_copy.as<double>()[i * n + j] = w;
    }
  }
}

}  // namespace birkhoff::reference
