#pragma once
#include <memory>

#include "trainer/nn/experts.h"

namespace birkhoff {

// Brings tokens to the ranks that hold their experts, and the outputs back to the ranks of the tokens; the gradients
// travel the same ways. Nothing is dropped, and padding does not travel. All functions are collective over ep and etp,
// and which collectives run depends on no data.
//
// The order of calls is that of one layer in one frame: send, Experts::forward, return_outputs; later send_gradients,
// Experts::backward_input, return_gradients.
// Source: Lepikhin et al. 2020, arXiv:2006.16668, section 3; dropless as in DeepSeek-V3, arXiv:2412.19437, section
// 2.1.2.
class ExpertDispatch {
 public:
  virtual ~ExpertDispatch() = default;

  struct Tokens {
    Tensor x;      // [T, C], own tokens
    Tensor index;  // i32 [T, K], the chosen experts of all
    Tensor gate;   // f32 [T, K]
    Tensor mask;   // u8 [T], 0 for padding; may be absent
  };
  // What this rank's experts compute. It lies in gradient memory, and is needed only by Experts::forward, except the
  // gate.
  virtual Experts::Input send(Frame& frame, const Tokens& tokens) = 0;
  // y [N, C] of the experts for this input -> y_TC = base + the weighted outputs, in activation memory.
  virtual Tensor return_outputs(Frame& frame, Tensor y, const Tokens& tokens, Tensor base) = 0;
  // The gradient of return_outputs for y. Overwrites dgate [T, K] with what does not come from the experts' ranks.
  virtual Tensor send_gradients(Frame& frame, Tensor dy_TC, const Tokens& tokens, Tensor dgate) = 0;
  // The gradients of send(): those of the input's x and, if it had one, gate -> dx_TC and dgate.
  virtual Tensor return_gradients(Frame& frame, Tensor dx, Tensor dgate_of_input, Tensor dgate) = 0;
  // The dtype of y and dx: f32 if they are summands of several ranks.
  virtual DType partial() const = 0;
};

// Null if this rank holds all experts whole.
std::unique_ptr<ExpertDispatch> make_expert_dispatch(Build& build, int64_t channels, const MoeOptions& options);

}  // namespace birkhoff
