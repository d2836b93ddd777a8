#include "trainer/nn/engram.h"

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/engram/conv.h"
#include "kernels/engram/rows.h"

namespace birkhoff {
namespace {

// Sizes of the blocks of wkv's outputs: a key for each stream, then the value.
std::vector<int64_t> keys_and_value(int64_t streams, int64_t channels) {
  return std::vector<int64_t>(static_cast<size_t>(streams + 1), channels);
}

}  // namespace

Engram::Engram(Build& build, const std::string& name, int64_t channels, int64_t streams, size_t table_index,
               const EngramOptions& o)
    : name_(name),
      options_(o),
      streams_(streams),
      table_index_(table_index),
      activation_(build.precision.activation()),
      exchange_(build),
      halo_(exchange_.size() > 1 ? o.halo() : 0),
      wkv_(build, name + ".wkv", (streams + 1) * channels, o.rows_per_token() * o.head_dim,
           Linear::Options{.bias = o.bias, .outputs = {0, 1, keys_and_value(streams, channels)}}),
      slot_(build.slot<Saved>()) {
  if (o.gate.eps == 0) options_.gate.eps = build.norm.eps;
  const Shape per_stream{streams, channels};
  w_h_ = build.parameter(name + ".q_weight", per_stream, Role::gain, Init::constant(1));
  w_k_ = build.parameter(name + ".k_weight", per_stream, Role::gain, Init::constant(1));
  if (!o.conv) return;
  conv_gain_ = build.parameter(name + ".conv_norm", per_stream, Role::gain, Init::constant(1));
  conv_weight_ = build.parameter(name + ".conv", {streams, channels, o.conv_kernel}, Role::conv, Init::constant(0));
}

// The tails of the ranks before this one end where own tokens begin. Where a rank has fewer tokens than the halo, its
// tail is all of them, so the tails of several ranks follow one another without a gap.
Tensor Engram::before_own(Tensor tails, int64_t tail) const {
  const int64_t end = exchange_.rank() * tail, count = std::min(halo_, end);
  return tails.rows(end - count, count);
}

void Engram::fetch_halo(Frame& f, Tensor value) const {
  if (halo_ == 0) return;
  const int64_t T = value.shape[0] - halo_, tail = tail_of(T);
  const ArenaScope scope(f.gradient_arena());
  const Tensor tails = f.take_gradient(activation_, value.shape.with(0, exchange_.size() * tail));
  exchange_.gather_to(f.stream, tails, value.rows(halo_ + T - tail, tail));
  const Tensor before = before_own(tails, tail);
  // The rows before the first token of the microbatch.
  const int64_t missing = halo_ - before.shape[0];
  if (BK_DEFECT("D15 halo cut")) return fill_zero(f.stream, value.rows(0, halo_));
  fill_zero(f.stream, value.rows(0, missing));
  copy(f.stream, value.rows(missing, before.shape[0]), before);
}

Tensor Engram::return_halo(Frame& f, Tensor dvalue) const {
  if (halo_ == 0) return dvalue;
  const int64_t T = dvalue.shape[0] - halo_, tail = tail_of(T);
  const Tensor own = dvalue.rows(halo_, T);
  if (BK_DEFECT("D15 gradient of the halo dropped")) return own;
  const ArenaScope scope(f.gradient_arena());
  const Tensor tails = f.take_gradient(activation_, dvalue.shape.with(0, exchange_.size() * tail));
  const Tensor sum = f.take_gradient(activation_, dvalue.shape.with(0, tail));
  fill_zero(f.stream, tails);
  const Tensor before = before_own(tails, tail);
  copy(f.stream, before, dvalue.rows(halo_ - before.shape[0], before.shape[0]));
  exchange_.scatter_sum_to(f.stream, sum, tails);
  const Tensor last = own.rows(T - tail, tail);
  add(f.stream, {last, last, sum});
  return own;
}

State Engram::forward(Frame& f, State in) {
  const int64_t T = in.x.shape[0], S = streams_;
  Saved& s = f.saved(slot_);
  s.h = in.x;
  const Tensor e = f.take(activation_, {T, options_.rows_per_token() * options_.head_dim});
  engram_gather_forward(f.stream, {e, f.batch.engram_rows.at(table_index_), index_TK(f.batch)});
  s.kv = wkv_.forward(f, e);
  for (Tensor* t : {&s.gate, &s.score, &s.rstd_h, &s.rstd_k}) *t = f.take_statistic({T, S});
  s.value = options_.conv ? f.take(activation_, in.x.shape.with(0, halo_ + T)) : Tensor{};
  const Tensor out = f.take(activation_, in.x.shape);
  engram_gate_forward(f.stream, {.out = out,
                                 .gate = s.gate,
                                 .score = s.score,
                                 .rstd_h = s.rstd_h,
                                 .rstd_k = s.rstd_k,
                                 .value = options_.conv ? s.value.rows(halo_, T) : Tensor{},
                                 .h = s.h,
                                 .kv = s.kv,
                                 .w_h = w_h_.value,
                                 .w_k = w_k_.value,
                                 .mask = f.batch.own_of(f.batch.token_mask),
                                 .options = options_.gate});
  if (options_.conv) {  // adds to `out`
    fetch_halo(f, s.value);
    s.conv_rstd = f.take_statistic({halo_ + T, S});
    engram_conv_forward(f.stream, {.out = out,
                                   .rstd = s.conv_rstd,
                                   .x = s.value,
                                   .gain = conv_gain_.value,
                                   .weight = conv_weight_.value,
                                   .document_start = f.batch.halo_document_start,
                                   .dilation = static_cast<int>(options_.conv_dilation),
                                   .eps = options_.conv_eps,
                                   .halo = halo_});
  }
  if (f.wants_values()) f.show("the output of " + name_, out);
  return {out, in.pre};
}

State Engram::backward_input(Frame& f, State d) {
  const Saved& s = f.saved(slot_);
  // out = h + gated value + conv(gated value). The backward of the gate adds dvalue, the gradient that comes through
  // the convolution, to the gradient that comes directly from `out`.
  Tensor dvalue;
  if (options_.conv) {
    const Tensor dwith_halo = f.take_gradient(activation_, s.value.shape);
    engram_conv_backward(f.stream, {.dx = dwith_halo,
                                    .dgain = conv_gain_.grad,
                                    .dweight = conv_weight_.grad,
                                    .dout = d.x,
                                    .x = s.value,
                                    .gain = conv_gain_.value,
                                    .weight = conv_weight_.value,
                                    .rstd = s.conv_rstd,
                                    .document_start = f.batch.halo_document_start,
                                    .dilation = static_cast<int>(options_.conv_dilation),
                                    .halo = halo_});
    dvalue = return_halo(f, dwith_halo);
  }
  const Tensor dh = f.take_gradient(activation_, s.h.shape), dkv = f.take_gradient(activation_, s.kv.shape);
  engram_gate_backward(f.stream, {.dh = dh,
                                  .dkv = dkv,
                                  .dw_h = w_h_.grad,
                                  .dw_k = w_k_.grad,
                                  .dout = d.x,
                                  .dvalue = dvalue,
                                  .h = s.h,
                                  .kv = s.kv,
                                  .w_h = w_h_.value,
                                  .w_k = w_k_.value,
                                  .gate = s.gate,
                                  .score = s.score,
                                  .rstd_h = s.rstd_h,
                                  .rstd_k = s.rstd_k,
                                  .options = options_.gate});
  const Tensor de = wkv_.backward_input(f, dkv);
  engram_gather_backward(f.stream, {f.batch.engram_row_gradients.at(table_index_), de, index_TK(f.batch)});
  return {dh, d.pre};
}

void Engram::backward_weight(Frame& f) { wkv_.backward_weight(f); }

void Engram::visit(ModuleVisitor& v) {
  wkv_.visit(v);
  v.parameter(w_h_);
  v.parameter(w_k_);
  if (options_.conv) {
    v.parameter(conv_gain_);
    v.parameter(conv_weight_);
  }
}

}  // namespace birkhoff
