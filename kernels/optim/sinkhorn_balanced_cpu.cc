#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/optim/optim_simd.h"
#include "kernels/optim/row_ids.h"
#include "kernels/optim/sinkhorn_phases.h"

namespace birkhoff::cpu {
namespace {

// Rows are summed in at most kParts runs whose sizes depend on m alone, so that the order of a sum does not depend on
// the number of threads. Within a run, f32 sums over kRowsPerSum rows are added in f64, because a table may have
// hundreds of millions of rows.
constexpr int64_t kParts = 64, kRowsPerSum = 128;

struct Parts {
  explicit Parts(int64_t rows) : rows(rows), size(std::max((rows + kParts - 1) / kParts, kRowsPerSum)) {}
  int64_t count() const { return (rows + size - 1) / size; }
  int64_t rows, size;
};

// Looks up the gradients of rows in a dense or listed gradient. Rows must be requested in ascending order.
class Gradient {
 public:
  Gradient(const SinkhornBalancedArgs& a, int64_t first_row)
      : ids_(a.rows.present() ? RowIds(a.rows) : RowIds(Tensor{nullptr, DType::i64, {0}})),
        values_(a.grad.count() > 0 ? a.grad.f32() : nullptr),
        dense_(!a.rows.present()),
        shift_(a.first_row),
        n_(a.weight.shape.back()),
        next_(ids_.lower_bound(first_row + shift_)) {}

  // Returns null if the row has no gradient.
  const float* of(int64_t row) {
    if (dense_) return values_ ? values_ + row * n_ : nullptr;
    while (next_ < ids_.count() && ids_[next_] < row + shift_) ++next_;
    return next_ < ids_.count() && ids_[next_] == row + shift_ ? values_ + next_ * n_ : nullptr;
  }

 private:
  RowIds ids_;
  const float* values_;
  bool dense_;
  int64_t shift_, n_, next_;
};

template <class M>
const SinkhornRow<M>& kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return sinkhorn_row<isa, M>(); });
  return kernels;
}

// Forms U row by row, and normalizes the rows if the phase says so. Skips rows of zeros.
template <class M>
class UpdateRows {
 public:
  UpdateRows(const SinkhornPhase& p, int64_t first_row)
      : p_(p),
        n_(p.column_scale.count()),
        beta_(static_cast<float>(p.args.hyper.momentum)),
        rate_(static_cast<float>((1 - p.args.hyper.momentum) * p.args.hyper.grad_scale)),
        gradient_(p.args, first_row),
        u_(n_) {}

  // Calls visit(u, factor), where row i of U is factor * u.
  template <class Visit>
  void form(int64_t i, Visit visit) {
    float& scale = p_.row_scale.f32()[i];
    if (scale == 0) return;
    const float squares = kernels<M>().form(u_.data(), p_.args.momentum.template as<M>() + i * n_, gradient_.of(i),
                                            p_.column_scale.f32(), n_, beta_, rate_, scale);
    float factor = 1;
    if (p_.rows == SinkhornPhase::Rows::normalize && squares > 0) {
      factor = 1 / (std::sqrt(squares) + static_cast<float>(p_.args.hyper.eps));
    }
    scale *= factor;
    visit(u_.data(), factor);
  }

  double advance(int64_t i) {
    return kernels<M>().advance(p_.args.momentum.template as<M>() + i * n_, gradient_.of(i), n_, beta_, rate_);
  }

 private:
  const SinkhornPhase& p_;
  int64_t n_;
  float beta_, rate_;
  Gradient gradient_;
  Scratch<float> u_;
};

// Calls body(rows, part, begin, end) for every part.
template <class Body>
void each_part(const SinkhornPhase& p, Body body) {
  const Parts parts(p.row_scale.count());
  with_activation_type(p.args.momentum.dtype, [&]<class M>() {
    parallel_for(parts.count(), 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        const int64_t begin = part * parts.size;
        UpdateRows<M> rows(p, begin);
        body(rows, part, begin, std::min(begin + parts.size, parts.rows));
      }
    });
  });
}

}  // namespace

void sinkhorn_momentum(const SinkhornPhase& p) {
  Scratch<double> sums(kParts, 0.0);
  each_part(p, [&](auto& rows, int64_t part, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double rho = std::sqrt(rows.advance(i));
      p.row_scale.f32()[i] = static_cast<float>(rho);
      sums[part] += rho;
    }
  });
  std::fill_n(p.column_scale.f32(), p.column_scale.count(), 1.0f);
  double total = 0;
  for (int64_t part = 0; part < kParts; ++part) total += sums[part];
  *p.rho_sum.as<double>() = total;
}

void sinkhorn_select(const SinkhornPhase& p) {
  const int64_t m = p.row_scale.count(), all = p.args.num_rows ? p.args.num_rows : m;
  const double least = p.args.hyper.threshold * *p.rho_sum.as<double>() / static_cast<double>(all);
  parallel_for(m, 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double rho = p.row_scale.f32()[i];
      p.row_scale.f32()[i] = rho <= least ? 0.0f : static_cast<float>(1 / (rho + p.args.hyper.eps));
    }
  });
}

void sinkhorn_sum_columns(const SinkhornPhase& p) {
  const int64_t n = p.column_scale.count();
  Scratch<double> partial(kParts * n, 0.0);
  each_part(p, [&](auto& rows, int64_t part, int64_t begin, int64_t end) {
    Scratch<float> sums(n);
    for (; begin < end; begin += kRowsPerSum) {
      std::fill_n(sums.data(), n, 0.0f);
      for (int64_t i = begin; i < std::min(begin + kRowsPerSum, end); ++i) {
        rows.form(i, [&](const float* u, float factor) { kernels<float>().add_squares(sums.data(), u, n, factor); });
      }
      for (int64_t j = 0; j < n; ++j) partial[part * n + j] += sums[j];
    }
  });
  double* sums = p.column_sums.as<double>();
  std::fill_n(sums, n, 0.0);
  for (int64_t part = 0; part < kParts; ++part) {
    for (int64_t j = 0; j < n; ++j) sums[j] += partial[part * n + j];
  }
}

void sinkhorn_scale_columns(const SinkhornPhase& p) {
  for (int64_t j = 0; j < p.column_scale.count(); ++j) {
    const double sum = p.column_sums.as<double>()[j];
    if (sum > 0) p.column_scale.f32()[j] /= static_cast<float>(std::sqrt(sum) + p.args.hyper.eps);
  }
}

void sinkhorn_apply(const SinkhornPhase& p) {
  const int64_t n = p.column_scale.count();
  const double step = p.args.hyper.gamma * p.args.hyper.learning_rate * std::sqrt(static_cast<double>(n));
  const Tensor& copy = p.args.weight_copy;
  const bool narrow = copy.present() && copy.dtype == DType::bf16;
  each_part(p, [&](auto& rows, int64_t, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* w = p.args.weight.f32() + i * n;
      rows.form(i, [&](const float* u, float factor) {
        kernels<float>().subtract(w, narrow ? copy.as<bfloat16>() + i * n : nullptr, u, n,
                                  static_cast<float>(step) * factor);
        if (copy.present() && !narrow) std::copy_n(w, n, copy.f32() + i * n);
      });
    }
  });
}

}  // namespace birkhoff::cpu
