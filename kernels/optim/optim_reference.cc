#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/optim/adamw.h"
#include "kernels/optim/row_ids.h"
#include "kernels/optim/sinkhorn_phases.h"

namespace birkhoff::reference {

void adamw(const AdamWArgs& a) {
  const AdamWHyper& h = a.hyper;
  double *w = a.weight.as<double>(), *m = a.m.as<double>(), *v = a.v.as<double>();
  const auto step = static_cast<double>(h.step);
  for (int64_t i = 0; i < a.weight.count(); ++i) {
    const double g = h.grad_scale * a.grad.as<double>()[i];
    m[i] = h.beta1 * m[i] + (1 - h.beta1) * g;
    v[i] = h.beta2 * v[i] + (1 - h.beta2) * g * g;
    const double m_hat = m[i] / (1 - std::pow(h.beta1, step)), v_hat = v[i] / (1 - std::pow(h.beta2, step));
    w[i] -= h.learning_rate * (h.weight_decay * w[i] + m_hat / (std::sqrt(v_hat) + h.eps));
    if (a.weight_copy.present()) a.weight_copy.as<double>()[i] = w[i];
  }
}

void adamw_rows(const AdamWRowsArgs& a) {
  const RowIds rows(a.rows);
  const int64_t N = a.weight.shape.rows();
  for (int64_t u = 0; u < rows.count(); ++u) {
    const int64_t r = rows[u] - a.first_row;
    if (r < 0 || r >= N) continue;
    const Tensor copy = a.weight_copy.present() ? a.weight_copy.rows(r, 1) : Tensor{};
    adamw({.weight = a.weight.rows(r, 1),
           .m = a.m.rows(r, 1),
           .v = a.v.rows(r, 1),
           .weight_copy = copy,
           .grad = a.grad.rows(u, 1),
           .hyper = a.hyper});
  }
}

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

void normalize_rows(const SinkhornPhase& p) {
  for (int64_t i = 0; p.rows == SinkhornPhase::Rows::normalize && i < p.row_scale.count(); ++i) {
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
  normalize_rows(p);
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
  normalize_rows(p);
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
