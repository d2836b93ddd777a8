#include "trainer/models/input.h"

#include "kernels/hyper/streams.h"
#include "trainer/nn/hyper_connection.h"

namespace birkhoff {

Input::Input(Build& build, const DecoderOptions& o)
    : streams_(o.residual.num_streams()),
      single_pass_(o.residual.type == ResidualType::mhc_single_pass),
      learned_positions_(o.position == PositionType::learned),
      activation_(build.precision.activation()),
      embedding_(build.set_part(Part::embedding), "embedding", o.vocab_size, o.hidden_size, o.learned_positions()) {}

State Input::forward(Frame& f, State) {
  const Tensor positions = learned_positions_ ? f.batch.own_of(f.batch.positions) : Tensor{};
  const Tensor embedded = embedding_.forward(f, f.batch.tokens, positions);
  if (f.wants_values()) f.show("the output of embedding", embedded);
  const int64_t T = embedded.shape[0], C = embedded.shape[1];
  State s{embedded.view({T, 1, C}), {}};
  if (streams_ > 1) {
    s.x = f.take(activation_, {T, streams_, C});
    hyper_expand(f.stream, {s.x, embedded});
  }
  if (!single_pass_) return s;
  s.pre = f.take_statistic({T, streams_});
  first_stream_weights(f.stream, s.pre);
  return s;
}

State Input::backward_input(Frame& f, State d) {
  const int64_t T = d.x.shape[0], C = d.x.shape[2];
  Tensor dx = d.x.view({T, streams_ * C});
  if (streams_ > 1) {
    dx = f.take_gradient(activation_, {T, C});
    hyper_collapse(f.stream, {dx, d.x});
  }
  dx = dx.view({T, C});
  embedding_.backward(f, dx, f.batch.tokens, 0);
  if (learned_positions_) embedding_.backward_positions(f, dx, f.batch.own_of(f.batch.positions));
  return {};
}

}  // namespace birkhoff
