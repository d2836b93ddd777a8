#pragma once
// Where a step that is not finite went wrong. Looked for after such a step only, so it may be slow: values first, then
// a forward whose modules are looked at one by one, then a backward.
#include <optional>
#include <string>
#include <vector>

#include "trainer/loop/model.h"

namespace birkhoff {

// A place of the model that is not finite on this rank. A smaller order is closer to where it began.
struct Suspect {
  int64_t order = 0;
  std::string what;  // "the value of layers.1.ffn.experts.up, expert 3"
};

class FiniteCheck {
 public:
  explicit FiniteCheck(Stream stream) : stream_(stream), memory_(stream.device) {}
  // Cost: reads the tensor once and waits.
  bool operator()(Tensor values);

 private:
  Stream stream_;
  Arena memory_;
};

// The first parameter, router bias or row of a table that is not finite, in this order.
std::optional<Suspect> find_bad_value(Stream stream, const Model& model);

// The last module, in forward order, that has a gradient which is not finite: backward spreads it from there towards
// the input. `row_gradients` has an entry per table. Gradients must be this rank's own, not sums over the replicas.
std::optional<Suspect> find_bad_gradient(Stream stream, const Model& model, const std::vector<Tensor>& row_gradients);

// Looks at what a forward shows while it is alive, and holds the first that is not finite.
class ForwardCheck {
 public:
  ForwardCheck(Stream stream, Frame& frame);
  ~ForwardCheck() { frame_->probe = {}; }
  ForwardCheck(const ForwardCheck&) = delete;
  ForwardCheck& operator=(const ForwardCheck&) = delete;
  const std::optional<Suspect>& found() const { return found_; }

 private:
  FiniteCheck finite_;
  Frame* frame_;
  int64_t shown_ = 0;
  std::optional<Suspect> found_;
};

// Collective. What the rank with the smallest order found, the lowest of several, and whose it is; empty if no rank
// found anything.
std::string first_of_all(Communicator& replicas, const std::optional<Suspect>& mine);

}  // namespace birkhoff
