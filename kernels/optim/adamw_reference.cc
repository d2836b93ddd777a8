#include <cmath>

#include "kernels/optim/adamw.h"
#include "kernels/optim/row_ids.h"

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
    adamw({a.weight.rows(r, 1), a.m.rows(r, 1), a.v.rows(r, 1), copy, a.grad.rows(u, 1), a.hyper});
  }
}

}  // namespace birkhoff::reference
