#include "trainer/models/stage.h"

namespace birkhoff {

State Stage::forward(Frame& f, State s) const {
  for (const Unit& unit : units_) s = unit.module->forward(f, s);
  return s;
}

// Does not alternate before the last unit. Its incoming gradient lies in the current arena: the caller's, or that which
// the head stored in its forward and returns unchanged. One more alternation would make the next unit empty this arena.
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
