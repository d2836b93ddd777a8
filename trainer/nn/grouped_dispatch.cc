// Dispatch of a token once to each group of ranks that holds some of its experts.
#include "trainer/nn/grouped_dispatch.h"

#include <algorithm>

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "kernels/moe/destinations.h"
#include "kernels/moe/permute.h"

namespace birkhoff {

GroupedDispatch::GroupedDispatch(Build& build, int64_t channels, const MoeOptions& options)
    : steps_{Step{RowExchange(build.mesh->group(Group::ep_across)), 0, 0, 0},
             Step{RowExchange(build.mesh->group(Group::ep_within)), 0, 0, 0}},
      shards_(build.mesh->group(Group::etp)),
      channels_(channels),
      activation_(build.precision.activation()),
      payloads_(build.payloads),
      slot_(build.slot<Saved>()) {
  const int64_t across = steps_[0].exchange.size(), within = steps_[1].exchange.size();
  steps_[0].most_copies = std::min({options.top_groups, options.top_k, across});
  // The experts of a token, spread over the groups that it goes to.
  const int64_t in_group = (options.top_k + steps_[0].most_copies - 1) / steps_[0].most_copies;
  steps_[1].most_copies = std::min(in_group, within);
  steps_[0].each = options.num_experts / across;
  steps_[1].each = steps_[0].each / within;
  steps_[1].first = build.mesh->coordinate(Axis::ep) / within * steps_[0].each;
  first_ = steps_[1].each * build.mesh->coordinate(Axis::ep);
}

RowRoute GroupedDispatch::route(Frame& f, const Step& step, const Rows& rows, Tensor mask) const {
  const ArenaScope scope(f.gradient_arena());
  const int64_t items = rows.index.shape[0];
  if (BK_DEFECT("D28 a token sent twice to a group")) {
    const Tensor to = f.take_gradient(Precision::index(), rows.index.shape);
    pair_destinations(f.stream, {.to = to,
                                 .index = rows.index,
                                 .token_mask = mask,
                                 .first = step.first,
                                 .each = step.each,
                                 .num_ranks = step.exchange.size()});
    return step.exchange.route(f, to, to.count());
  }
  const Tensor to = f.take_gradient(Precision::index(), {items, step.exchange.size()});
  token_destinations(f.stream,
                     {.to = to, .index = rows.index, .token_mask = mask, .first = step.first, .each = step.each});
  return step.exchange.route(f, to, items * step.most_copies);
}

Tensor GroupedDispatch::sent(Frame& f, const Step& step, const RowRoute& route, Tensor values, Payload payload) const {
  const Tensor arrived = f.take_gradient(values.dtype, values.shape.with(0, route.num_received));
  const ArenaScope scope(f.gradient_arena());
  const Tensor rows = f.take_gradient(values.dtype, values.shape.with(0, route.num_sent));
  permute_forward(f.stream, {rows, values, route.item_of});
  step.exchange.send(f, route, arrived, rows, payload);
  return arrived;
}

void GroupedDispatch::returned(Frame& f, const Step& step, const RowRoute& route, Tensor out, Tensor in, Tensor base,
                               Payload payload) const {
  const ArenaScope scope(f.gradient_arena());
  const Tensor back = f.take_gradient(in.dtype, in.shape.with(0, route.num_sent));
  step.exchange.give_back(f, route, back, in, payload);
  combine_forward(f.stream, {out, back, {}, base, route.row_of});
}

Experts::Input GroupedDispatch::send(Frame& f, const Tokens& tokens) {
  Saved& s = f.saved(slot_);
  Rows rows{tokens.x, tokens.index, tokens.gate};
  for (size_t i = 0; i < num_steps(); ++i) {
    s.routes[i] = route(f, steps_[i], rows, i == 0 ? tokens.mask : Tensor{});
    rows = {sent(f, steps_[i], s.routes[i], rows.x, payloads_.dispatch),
            sent(f, steps_[i], s.routes[i], rows.index, Payload::activation),
            sent(f, steps_[i], s.routes[i], rows.gate, Payload::activation)};
  }
  own_experts(f.stream, {rows.index, rows.index, first_, steps_[1].each});
  s.counts = shards_.counts(f, rows.x.shape[0]);
  const Tensor gate = shards_.gather(f, s.counts, rows.gate), kept = f.take_statistic(gate.shape);
  copy(f.stream, kept, gate);
  const bool dry = f.stream.device.kind == DeviceKind::meta;
  return {.x = shards_.gather(f, s.counts, rows.x, payloads_.dispatch),
          .index = shards_.gather(f, s.counts, rows.index),
          .gate = kept,
          .pairs = dry ? tokens.index.count() * shards_.size() : Experts::Input::kCount};
}

Tensor GroupedDispatch::return_outputs(Frame& f, Tensor y, const Tokens& tokens, Tensor base) {
  const Saved& s = f.saved(slot_);
  const Tensor y_TC = f.take(activation_, tokens.x.shape);
  const ArenaScope scope(f.gradient_arena());
  Tensor out = summed(f, s, activation_, y);
  for (size_t i = num_steps() - 1; i > 0; --i) out = returned_items(f, i, s, out, payloads_.combine);
  returned(f, steps_[0], s.routes[0], y_TC, out, base, payloads_.combine);
  return y_TC;
}

Tensor GroupedDispatch::send_gradients(Frame& f, Tensor dy_TC, const Tokens&, Tensor) {
  const Saved& s = f.saved(slot_);
  Tensor dy = dy_TC;
  for (size_t i = 0; i < num_steps(); ++i) dy = sent(f, steps_[i], s.routes[i], dy, payloads_.dispatch);
  return shards_.gather(f, s.counts, dy, payloads_.dispatch);
}

Tensor GroupedDispatch::return_gradients(Frame& f, Tensor dx, Tensor dgate_of_input, Tensor dgate) {
  const Saved& s = f.saved(slot_);
  const Tensor dx_TC = f.take_gradient(activation_, {s.routes[0].row_of.shape[0], channels_});
  const ArenaScope scope(f.gradient_arena());
  if (BK_DEFECT("D11 gate gradient of one rank's inner width") && shards_.rank() > 0)
    fill_zero(f.stream, dgate_of_input);
  Tensor rows = summed(f, s, activation_, dx), gates = summed(f, s, Precision::statistic(), dgate_of_input);
  for (size_t i = num_steps() - 1; i > 0; --i) {
    rows = returned_items(f, i, s, rows, payloads_.combine);
    gates = returned_items(f, i, s, gates, Payload::activation);
  }
  returned(f, steps_[0], s.routes[0], dx_TC, rows, {}, payloads_.combine);
  returned(f, steps_[0], s.routes[0], dgate, gates, {}, Payload::activation);
  return dx_TC;
}

// The sums over the copies that the items of step i sent.
Tensor GroupedDispatch::returned_items(Frame& f, size_t i, const Saved& s, Tensor in, Payload payload) const {
  const Tensor out = f.take_gradient(in.dtype, in.shape.with(0, s.routes[i].row_of.shape[0]));
  returned(f, steps_[i], s.routes[i], out, in, {}, payload);
  return out;
}

Tensor GroupedDispatch::summed(Frame& f, const Saved& s, DType dtype, Tensor summands) const {
  if (shards_.size() == 1) return summands;
  const Tensor sum = f.take_gradient(dtype, summands.shape.with(0, s.routes[num_steps() - 1].num_received));
  shards_.sum_to(f, s.counts, sum, summands);
  return sum;
}

}  // namespace birkhoff
