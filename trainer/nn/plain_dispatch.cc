#include "trainer/nn/plain_dispatch.h"

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "kernels/moe/destinations.h"
#include "kernels/moe/permute.h"

namespace birkhoff {

PlainDispatch::PlainDispatch(Build& build, int64_t channels, const MoeOptions& options)
    : exchange_(build.mesh->group(Group::ep)),
      shards_(build.mesh->group(Group::etp)),
      channels_(channels),
      each_(options.num_experts / exchange_.size()),
      first_(each_ * build.mesh->coordinate(Axis::ep)),
      inner_(options.gate_position == GatePosition::inner),
      activation_(build.precision.activation()),
      payloads_(build.payloads),
      slot_(build.slot<Saved>()) {}

Experts::Input PlainDispatch::send(Frame& f, const Tokens& tokens) {
  Saved& s = f.saved(slot_);
  s.route = route(f, tokens);
  s.counts = shards_.counts(f, s.route.num_received);
  Experts::Input in;
  in.gate = inner_ ? send_gates(f, s, tokens.gate) : Tensor{};
  in.index = shards_.gather(f, s.counts, send_experts(f, s, tokens.index));
  in.x = shards_.gather(f, s.counts, send_tokens(f, s, tokens.x), payloads_.dispatch);
  in.pairs = in.x.shape[0];
  return in;
}

Tensor PlainDispatch::return_outputs(Frame& f, Tensor y, const Tokens& tokens, Tensor base) {
  Saved& s = f.saved(slot_);
  const Shape sent{s.route.num_sent, channels_};
  s.out = inner_ ? Tensor{} : f.take(activation_, sent);  // for the gradient of the gates
  const Tensor y_TC = f.take(activation_, tokens.x.shape);
  const ArenaScope scope(f.gradient_arena());
  const Tensor out = inner_ ? f.take_gradient(activation_, sent) : s.out;
  exchange_.give_back(f, s.route, out, summed(f, s, y), payloads_.combine);
  combine_forward(f.stream, {y_TC, out, inner_ ? Tensor{} : tokens.gate, base, s.route.row_of});
  return y_TC;
}

Tensor PlainDispatch::send_gradients(Frame& f, Tensor dy_TC, const Tokens& tokens, Tensor dgate) {
  const Saved& s = f.saved(slot_);
  const Tensor arrived = f.take_gradient(activation_, {s.route.num_received, channels_});
  {
    const ArenaScope scope(f.gradient_arena());
    const Tensor dout = f.take_gradient(activation_, {s.route.num_sent, channels_});
    combine_backward(f.stream, {.drows = dout,
                                .dgate = inner_ ? Tensor{} : dgate,
                                .dy = dy_TC,
                                .rows = s.out,
                                .gate = inner_ ? Tensor{} : tokens.gate,
                                .row_of = s.route.row_of});
    exchange_.send(f, s.route, arrived, dout, payloads_.dispatch);
  }
  return shards_.gather(f, s.counts, arrived, payloads_.dispatch);
}

Tensor PlainDispatch::return_gradients(Frame& f, Tensor dx, Tensor dgate_of_input, Tensor dgate) {
  const Saved& s = f.saved(slot_);
  const Tensor dx_TC = f.take_gradient(activation_, {s.route.row_of.shape[0], channels_});
  const ArenaScope scope(f.gradient_arena());
  const Tensor back = f.take_gradient(activation_, {s.route.num_sent, channels_});
  exchange_.give_back(f, s.route, back, summed(f, s, dx), payloads_.combine);
  permute_backward(f.stream, {dx_TC, back, s.route.row_of});
  if (inner_) return_gate_gradients(f, s, dgate_of_input, dgate);
  return dx_TC;
}

RowRoute PlainDispatch::route(Frame& f, const Tokens& tokens) const {
  const ArenaScope scope(f.gradient_arena());
  const Tensor to = f.take_gradient(Precision::index(), tokens.index.shape);
  pair_destinations(f.stream, {.to = to,
                               .index = tokens.index,
                               .token_mask = tokens.mask,
                               .first = 0,
                               .each = each_,
                               .num_ranks = exchange_.size()});
  return exchange_.route(f, to, to.count());
}

Tensor PlainDispatch::send_tokens(Frame& f, const Saved& s, Tensor x_TC) const {
  const Tensor arrived = f.take_gradient(activation_, {s.route.num_received, channels_});
  const ArenaScope scope(f.gradient_arena());
  const Tensor rows = f.take_gradient(activation_, {s.route.num_sent, channels_});
  permute_forward(f.stream, {rows, x_TC, s.route.item_of});
  exchange_.send(f, s.route, arrived, rows, payloads_.dispatch);
  return arrived;
}

Tensor PlainDispatch::send_experts(Frame& f, const Saved& s, Tensor index) const {
  const Tensor arrived = f.take_gradient(Precision::index(), {s.route.num_received, 1});
  const ArenaScope scope(f.gradient_arena());
  const Tensor rows = f.take_gradient(Precision::index(), {s.route.num_sent, 1});
  permute_gate_forward(f.stream, {rows, index, s.route.row_of});
  exchange_.send(f, s.route, arrived, rows);
  own_experts(f.stream, {arrived, arrived, first_, each_});
  return arrived;
}

Tensor PlainDispatch::send_gates(Frame& f, const Saved& s, Tensor gate) const {
  const ArenaScope scope(f.gradient_arena());
  const Tensor rows = f.take_statistic_gradient({s.route.num_sent, 1});
  const Tensor arrived = f.take_statistic_gradient({s.route.num_received, 1});
  permute_gate_forward(f.stream, {rows, gate, s.route.row_of});
  exchange_.send(f, s.route, arrived, rows);
  const Tensor all = shards_.gather(f, s.counts, arrived), kept = f.take_statistic(all.shape);
  copy(f.stream, kept, all);
  return kept;
}

Tensor PlainDispatch::summed(Frame& f, const Saved& s, Tensor summands) const {
  if (shards_.size() == 1) return summands;
  if (BK_DEFECT("experts of one rank's inner width") && shards_.rank() > 0) fill_zero(f.stream, summands);
  const Tensor sum = f.take_gradient(activation_, {s.route.num_received, channels_});
  shards_.sum_to(f, s.counts, sum, summands);
  return sum;
}

void PlainDispatch::return_gate_gradients(Frame& f, const Saved& s, Tensor dgate_of_input, Tensor dgate) const {
  const Tensor back = f.take_statistic_gradient({s.route.num_sent, 1});
  Tensor own = dgate_of_input;
  if (shards_.size() > 1) {
    if (BK_DEFECT("D11 gate gradient of one rank's inner width") && shards_.rank() > 0) fill_zero(f.stream, own);
    own = f.take_statistic_gradient({s.route.num_received, 1});
    shards_.sum_to(f, s.counts, own, dgate_of_input);
  }
  exchange_.give_back(f, s.route, back, own);
  permute_gate_backward(f.stream, {dgate, back, s.route.row_of});
}

}  // namespace birkhoff
