#include "trainer/nn/experts.h"

#include "kernels/activation/swiglu.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "kernels/moe/expert_order.h"
#include "kernels/moe/permute.h"

namespace birkhoff {

Experts::Experts(Build& build, const std::string& name, int64_t channels, const MoeOptions& o, double clamp)
    : name_(name),
      position_(o.gate_position),
      clamp_(clamp),
      channels_(channels),
      activation_(build.precision.activation()),
      slot_(build.slot<Saved>()) {
  const int64_t E = o.num_experts, F = o.expert_size;
  up_ = build.parameter(name + ".experts.up", {E, 2 * F, channels}, Role::experts, Init::normal(build.init.std));
  up_.division.blocks = {1, 1, {F, F}};
  up_.division.cuts = {{0, Axis::ep}, {1, Axis::etp}};
  const double down_std = build.init.std * build.init.output_scale;
  down_ = build.parameter(name + ".experts.down", {E, channels, F}, Role::experts, Init::normal(down_std));
  down_.division.cuts = {{0, Axis::ep}, {2, Axis::etp}};
  const Shape held = build.held_shape(down_);
  held_ = held[0];
  inner_ = held[2];
  up_gemms_ = build.precision.grouped(held_, 2 * inner_, channels);
  down_gemms_ = build.precision.grouped(held_, channels, inner_);
}

void Experts::order(Frame& f, Saved& s, const Input& in) {
  s.offsets = f.take_offset({held_ + 1});
  s.row_of = f.take_index(in.index.shape);
  s.token_of = f.take_index({in.index.count()});
  expert_order(f.stream, {s.offsets, s.row_of, s.token_of, in.index});
  int64_t rows = in.pairs;
  if (rows == Input::kCount) to_host(f.stream, &rows, s.offsets.flat(held_, 1));
  s.token_of = s.token_of.rows(0, rows);
}

void Experts::forward(Frame& f, Tensor y, const Input& in, Tensor base) {
  Saved& s = f.saved(slot_);
  s.gate = in.gate;
  order(f, s, in);
  const int64_t R = s.token_of.count();
  s.rows = f.take(activation_, {R, channels_});
  permute_forward(f.stream, {s.rows, in.x, s.token_of});
  s.up = f.take(activation_, {R, 2 * inner_});
  up_gemms_->forward(f.stream, s.up, s.rows, {up_.value, up_.version}, s.offsets);
  s.inner = f.take(activation_, {R, inner_});
  s.gate_rows = {};
  if (gates_inner(s)) {
    s.gate_rows = f.take_statistic({R});
    permute_gate_forward(f.stream, {s.gate_rows, s.gate, s.row_of});
  }
  swiglu_forward(f.stream, {s.inner, s.up, s.gate_rows, clamp_});
  combine(f, s, y, base);
}

// The outputs are kept if the backward reads them. Summands are combined in f32 and kept rounded, as complete outputs
// are.
void Experts::combine(Frame& f, Saved& s, Tensor y, Tensor base) {
  const Shape shape{s.rows.shape[0], channels_};
  const bool summands = y.dtype != activation_ && f.stream.device.kind != DeviceKind::reference;
  s.out = s.gate.present() ? f.take(activation_, shape) : Tensor{};
  const ArenaScope scope(f.gradient_arena());
  const Tensor out = s.out.present() && !summands ? s.out : f.take_gradient(y.dtype, shape);
  down_gemms_->forward(f.stream, out, s.inner, {down_.value, down_.version}, s.offsets);
  if (f.wants_values()) show(f, s, out);
  combine_forward(f.stream, {y, out, gates_inner(s) ? Tensor{} : s.gate, base, s.row_of});
  if (s.out.present() && summands) copy(f.stream, s.out, out);
}

// Shows each expert's rows as a value of its own, so that the search for non-finite values can name the expert.
void Experts::show(Frame& f, const Saved& s, Tensor out) const {
  std::vector<int64_t> offsets(static_cast<size_t>(held_) + 1);
  to_host(f.stream, offsets.data(), s.offsets);
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    f.show(concat("the output of expert ", up_.first_row() + static_cast<int64_t>(e), " of ", name_),
           out.rows(offsets[e], offsets[e + 1] - offsets[e]));
  }
}

// For a seeded defect: <dy, the sum of the weighted outputs> instead of <dy, the output of each expert>.
void Experts::share_gate_gradients(Frame& f, const Saved& s, Tensor dgate) const {
  std::vector<double> of_pairs = read_values(f.stream, dgate), gates = read_values(f.stream, s.gate);
  const auto K = static_cast<size_t>(dgate.shape.back());
  for (size_t first = 0; first < of_pairs.size(); first += K) {
    double sum = 0;
    for (size_t p = first; p < first + K; ++p) sum += gates[p] * of_pairs[p];
    for (size_t p = first; p < first + K; ++p) of_pairs[p] = of_pairs[p] == 0 ? 0 : sum;
  }
  write_values(f.stream, dgate, of_pairs);
}

void Experts::backward_input(Frame& f, Tensor dx, Tensor dgate, Tensor dy) {
  Saved& s = f.saved(slot_);
  s.dout = f.take_gradient(activation_, s.rows.shape);
  const bool gated = gates_output(s);
  combine_backward(f.stream, {.drows = s.dout,
                              .dgate = gated ? dgate : Tensor{},
                              .dy = dy,
                              .rows = gated ? s.out : Tensor{},
                              .gate = gated ? s.gate : Tensor{},
                              .row_of = s.row_of});
  if (gated && BK_DEFECT("D28 gate gradient from the summed row")) share_gate_gradients(f, s, dgate);
  const Tensor dinner = f.take_gradient(activation_, s.inner.shape);
  down_gemms_->backward_input(f.stream, dinner, s.dout, {down_.value, down_.version}, s.offsets);
  s.dup = f.take_gradient(activation_, s.up.shape);
  const Tensor dgate_rows = gates_inner(s) ? f.take_statistic_gradient(s.gate_rows.shape) : Tensor{};
  swiglu_backward(
      f.stream,
      {.dx = s.dup, .drow_scale = dgate_rows, .dy = dinner, .x = s.up, .row_scale = s.gate_rows, .clamp = clamp_});
  if (gates_inner(s)) permute_gate_backward(f.stream, {dgate, dgate_rows, s.row_of});
  const Tensor drows = f.take_gradient(dx.dtype, s.rows.shape);
  up_gemms_->backward_input(f.stream, drows, s.dup, {up_.value, up_.version}, s.offsets);
  permute_backward(f.stream, {dx, drows, s.row_of});
}

void Experts::backward_weight(Frame& f) {
  const Saved& s = f.saved(slot_);
  down_gemms_->backward_weight(f.stream, down_.grad, s.dout, s.inner, s.offsets);
  up_gemms_->backward_weight(f.stream, up_.grad, s.dup, s.rows, s.offsets);
}

void Experts::visit(ModuleVisitor& v) {
  v.parameter(up_);
  v.parameter(down_);
  v.working_copies(up_gemms_->bytes() + down_gemms_->bytes());
}

}  // namespace birkhoff
