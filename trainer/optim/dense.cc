#include <algorithm>

#include "kernels/core/copy.h"
#include "kernels/core/error.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff {
namespace {

bool is_matrix(Role role) { return role == Role::matrix || role == Role::experts; }

// [E, O, I] or [O, I] as matrices.
struct Matrices {
  int64_t num, rows, columns;
};
Matrices matrices_of(const Shape& s) {
  if (s.rank() == 3) return {s[0], s[1], s[2]};
  return {1, s[0], s[1]};
}

}  // namespace

std::string_view name_of(Rule rule) { return rule == Rule::muon ? "muon" : "adamw"; }

Assignment assignment_of(const Parameter& p, DenseOptions::Kind kind) {
  const bool decay = is_matrix(p.role) || p.role == Role::embedding || p.role == Role::head;
  const bool muon = kind == DenseOptions::Kind::muon && is_matrix(p.role);
  return {muon ? Rule::muon : Rule::adamw, decay};
}

ParameterStore::UpdateCost update_cost(const Parameter& p, DenseOptions::Kind kind) {
  const double count = static_cast<double>(p.shape.count());
  if (assignment_of(p, kind).rule == Rule::adamw) return {count, true};
  // Ten Newton-Schulz steps of 4 s^2 l + 2 s^3 FLOPs; one element of AdamW costs about as much as 200 of them.
  const Matrices m = matrices_of(p.shape);
  const double s = static_cast<double>(std::min(m.rows, m.columns)),
               l = static_cast<double>(std::max(m.rows, m.columns));
  return {count + static_cast<double>(m.num) * 10 * (4 * s * s * l + 2 * s * s * s) / 200, false};
}

DenseOptimizer::DenseOptimizer(Device device, ParameterStore& parameters, const DenseOptions& options)
    : parameters_(&parameters), options_(options), memory_(device), workspace_(device) {
  Stream stream{device};
  for (const ParameterStore::Owned& o : parameters.owned()) {
    Moments m;
    m.first = memory_.take(options.moments, {o.slice.count});
    fill_zero(stream, m.first);
    if (assignment_of(*o.parameter, options.kind).rule == Rule::adamw) {
      m.second = memory_.take(options.moments, {o.slice.count});
      fill_zero(stream, m.second);
    }
    moments_.push_back(m);
  }
}

void DenseOptimizer::step_muon(Stream& stream, const ParameterStore::Owned& o, Tensor momentum,
                               const MuonHyper& hyper) {
  const Matrices m = matrices_of(o.slice.global);
  BK_ASSERT(o.slice.whole(), o.parameter->name, " was cut between ranks");
  const Shape one{m.rows, m.columns};
  for (int64_t e = 0; e < m.num; ++e) {
    const int64_t begin = e * m.rows * m.columns, count = m.rows * m.columns;
    muon(stream, workspace_,
         {o.value.flat(begin, count).view(one),
          momentum.flat(begin, count).view(one),
          {},
          o.gradient.flat(begin, count).view(one),
          hyper,
          options_.muon_compute});
  }
}

void DenseOptimizer::step(Stream& stream, const UpdateStep& u) {
  for (size_t i = 0; i < moments_.size(); ++i) {
    const ParameterStore::Owned& o = parameters_->owned()[i];
    const Assignment a = assignment_of(*o.parameter, options_.kind);
    if (a.rule == Rule::muon) {
      MuonHyper hyper = options_.muon;
      hyper.learning_rate = u.learning_rate;
      hyper.grad_scale = u.grad_scale;
      step_muon(stream, o, moments_[i].first, hyper);
      continue;
    }
    AdamWHyper hyper = options_.adamw;
    hyper.learning_rate = u.learning_rate;
    hyper.grad_scale = u.grad_scale;
    hyper.step = u.step;
    if (!a.decay) hyper.weight_decay = 0;
    adamw(stream, {o.value, moments_[i].first, moments_[i].second, {}, o.gradient, hyper});
  }
}

void DenseOptimizer::state(StateVisitor& v) {
  for (size_t i = 0; i < moments_.size(); ++i) {
    const ParameterStore::Owned& o = parameters_->owned()[i];
    const bool adamw = moments_[i].second.present() || assignment_of(*o.parameter, options_.kind).rule == Rule::adamw;
    v.shard((adamw ? "adamw.m." : "muon.momentum.") + o.parameter->name, moments_[i].first, o.slice);
    if (adamw) v.shard("adamw.v." + o.parameter->name, moments_[i].second, o.slice);
  }
}

}  // namespace birkhoff
