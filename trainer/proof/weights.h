#pragma once
#include "trainer/step/model.h"

namespace birkhoff {

// Sets all values of a model to random ones about as large as after training, keyed by seed, name and element of the
// logical tensor, so that they do not depend on the layout. At the initial values of a run many gradients are zero by
// symmetry, and a proof would not see an error in them. Scales of hyper-connections are 1 on average, their bases have
// a standard deviation of 0.5 and their projections one of 0.1; convolutions, biases and router biases are not zero.
//
// With Scores::clear, the scores of Engram's gates lie clear of 0, where the root in the gate raises rounding without
// bound, and all experts still get tokens. A proof in f32 needs that.
enum class Scores : uint8_t { any, clear };
void set_trained_values(Stream& stream, Model& model, uint64_t seed, Scores scores = Scores::any);

}  // namespace birkhoff
