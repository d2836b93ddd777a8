#include "kernels/core/error.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff {
namespace {

bool is_matrix(Role role) { return role == Role::matrix || role == Role::experts; }

}  // namespace

AdamWHyper adamw_hyper(const AdamWOptions& o, const UpdateStep& u, double learning_rate, bool decay) {
  return {.learning_rate = learning_rate,
          .beta1 = o.beta1,
          .beta2 = o.beta2,
          .eps = o.eps,
          .weight_decay = decay ? o.weight_decay : 0,
          .grad_scale = u.grad_scale,
          .step = u.step};
}

Assignment assignment_of(const Parameter& p, OptimizerType type) {
  const bool decay = is_matrix(p.role) || p.role == Role::embedding || p.role == Role::head;
  const bool muon = type == OptimizerType::muon && is_matrix(p.role);
  return {muon ? OptimizerType::muon : OptimizerType::adamw, decay};
}

ParameterStore::UpdateCost update_cost(const Parameter& p, OptimizerType type) {
  double cost = static_cast<double>(p.shape.count());
  if (assignment_of(p, type).rule == OptimizerType::adamw) return {cost, false};
  for (const MatrixPlace& m : matrices_of(p)) cost += muon_cost(m.shape());
  return {cost, true};
}

DenseOptimizer::DenseOptimizer(Device device, ParameterStore& parameters, const OptimizerOptions& options,
                               UpdatePrecision precision)
    : parameters_(&parameters),
      options_(options),
      precision_(precision),
      memory_(device),
      workspace_(device),
      divided_(memory_, parameters, {precision.moments, precision.muon_compute}) {
  Stream stream{device};
  for (const ParameterStore::Owned& o : parameters.owned()) {
    Moments m;
    if (!parameters.divided_over(o.index)) {
      m.first = memory_.take(precision.moments, {o.value.count()});
      fill_zero(stream, m.first);
    }
    if (assignment_of(*o.parameter, options.type).rule == OptimizerType::adamw) {
      m.second = memory_.take(precision.moments, {o.value.count()});
      fill_zero(stream, m.second);
    }
    moments_.push_back(m);
  }
}

MuonHyper DenseOptimizer::muon_hyper(const UpdateStep& u) const {
  return {.learning_rate = u.learning_rate,
          .momentum = options_.muon.momentum,
          .weight_decay = options_.adamw.weight_decay,
          .update_rms = options_.muon.rms_scale,
          .grad_scale = u.grad_scale};
}

void DenseOptimizer::step_muon(Stream& stream, const ParameterStore::Owned& o, Tensor momentum,
                               const MuonHyper& hyper) {
  const int64_t from = o.begin, to = from + o.value.count();
  for (const MatrixPlace& m : held_matrices_of(*o.parameter)) {
    const int64_t begin = m.first * m.columns, end = begin + ((m.groups - 1) * m.stride + m.rows) * m.columns;
    if (end <= from || begin >= to) continue;  // owned by another rank
    BK_ASSERT(begin >= from && end <= to, "a matrix of ", o.parameter->name, " was cut between ranks");
    auto part = [&](Tensor all) {
      return all.flat(begin - from, end - begin).view({(end - begin) / m.columns, m.columns});
    };
    const MuonArgs args{.weight = part(o.value),
                        .momentum = part(momentum),
                        .weight_copy = {},
                        .grad = part(o.gradient),
                        .hyper = hyper,
                        .compute = precision_.muon_compute};
    m.contiguous() ? muon(stream, workspace_, args) : step_scattered(stream, m, args);
  }
}

// Copies the rows into contiguous tensors, updates these, and copies weight and momentum back.
void DenseOptimizer::step_scattered(Stream& stream, const MatrixPlace& m, MuonArgs parts) {
  const ArenaScope scope(workspace_);
  auto gather = [&](Tensor part) {
    const Tensor whole = workspace_.take(part.dtype, m.shape());
    for (int64_t g = 0; g < m.groups; ++g) {
      copy(stream, whole.rows(g * m.rows, m.rows), part.rows(g * m.stride, m.rows));
    }
    return whole;
  };
  auto scatter = [&](Tensor part, Tensor whole) {
    for (int64_t g = 0; g < m.groups; ++g) {
      copy(stream, part.rows(g * m.stride, m.rows), whole.rows(g * m.rows, m.rows));
    }
  };
  MuonArgs whole = parts;
  whole.weight = gather(parts.weight);
  whole.momentum = gather(parts.momentum);
  whole.grad = gather(parts.grad);
  muon(stream, workspace_, whole);
  scatter(parts.weight, whole.weight);
  scatter(parts.momentum, whole.momentum);
}

void DenseOptimizer::step(Stream& stream, const UpdateStep& u) {
  for (size_t i = 0; i < moments_.size(); ++i) {
    const ParameterStore::Owned& o = parameters_->owned()[i];
    if (!moments_[i].first.present()) continue;
    const Assignment a = assignment_of(*o.parameter, options_.type);
    if (a.rule == OptimizerType::muon) {
      step_muon(stream, o, moments_[i].first, muon_hyper(u));
      continue;
    }
    const AdamWHyper hyper = adamw_hyper(options_.adamw, u, u.learning_rate, a.decay);
    adamw(stream, {.weight = o.value,
                   .m = moments_[i].first,
                   .v = moments_[i].second,
                   .weight_copy = {},
                   .grad = o.gradient,
                   .hyper = hyper});
  }
  divided_.step(stream, workspace_, muon_hyper(u));
}

void DenseOptimizer::state(StateVisitor& v) {
  for (size_t i = 0; i < moments_.size(); ++i) {
    const ParameterStore::Owned& o = parameters_->owned()[i];
    if (!moments_[i].first.present()) continue;
    const bool adamw = assignment_of(*o.parameter, options_.type).rule == OptimizerType::adamw;
    Slice slice = o.slice;
    if (BK_DEFECT("D24 moments of experts by local number") && o.parameter->role == Role::experts) {
      for (Box& box : slice.boxes) box.begin = box.begin.with(0, box.begin[0] - o.parameter->first_row());
    }
    v.shard((adamw ? "adamw.m." : "muon.momentum.") + o.parameter->name, moments_[i].first, slice);
    if (adamw) v.shard("adamw.v." + o.parameter->name, moments_[i].second, o.slice);
  }
  divided_.state(v);
}

}  // namespace birkhoff
