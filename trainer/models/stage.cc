#include "trainer/models/stage.h"

namespace birkhoff {

State Stage::forward(Frame& f, State s) const {
  for (const Unit& unit : units_) s = unit.module->forward(f, s);
  return s;
}

// Starts with the last unit, and alternates the gradient arenas before every other unit. It must not alternate before
// the last unit: if this is the head, it returns a gradient that its forward stored in the current arena. The
// alternation before the next unit would then empty this arena, although that unit reads the gradient.
State Stage::backward(Frame& f, State d, const UnitDone& on_unit_done) const {
  for (size_t u = units_.size(); u-- > 0;) {
    if (u + 1 < units_.size()) f.alternate_gradients();
    d = units_[u].module->backward_input(f, d);
    units_[u].module->backward_weight(f);
    on_unit_done(first_ + static_cast<int>(u));
  }
  return d;
}

State Stage::backward_input(Frame& f, State d) const {
  for (size_t u = units_.size(); u-- > 0;) d = units_[u].module->backward_input(f, d);
  return d;
}

void Stage::backward_weight(Frame& f, const UnitDone& on_unit_done) const {
  for (size_t u = units_.size(); u-- > 0;) {
    units_[u].module->backward_weight(f);
    on_unit_done(first_ + static_cast<int>(u));
  }
}

}  // namespace birkhoff
