#pragma once
#include "trainer/nn/ffn_options.h"
#include "trainer/nn/linear.h"

namespace birkhoff {

// Dense feed-forward: down(act(up(x))). With SwiGLU, `up` holds the gate and the up projection in one matrix [2 F, C],
// the gate first. Under tensor parallelism the inner features are divided.
class Ffn final : public Module {
 public:
  Ffn(Build& build, const std::string& name, int64_t channels, const FfnOptions& options);

  Tensor forward(Frame& frame, Tensor x_TC) override { return forward(frame, start(frame, x_TC)); }
  Tensor backward_input(Frame& frame, Tensor dy_TC) override { return start_backward_input(frame, dy_TC).wait(frame); }
  // The same in two steps. In between other ops may run while the ranks exchange tokens.
  TokenExchange::Started start(Frame& frame, Tensor x_TC);
  Tensor forward(Frame& frame, TokenExchange::Started gathered);
  TokenExchange::Started start_backward_input(Frame& frame, Tensor dy_TC);
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  struct Saved {
    Tensor up;
  };
  FfnOptions options_;
  DType activation_;
  TokenExchange exchange_;
  Linear up_, down_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
