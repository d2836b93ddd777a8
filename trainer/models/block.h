#pragma once
#include "trainer/nn/engram.h"
#include "trainer/nn/residual.h"

namespace birkhoff {

// One layer of the decoder: Engram, if the layer has one, then attention, then feed-forward. Attention and feed-forward
// come wrapped in their residual connections.
class Block final : public ReplayedModule {
 public:
  Block(Build& build, std::unique_ptr<Engram> engram, std::unique_ptr<ReplayedModule> attention,
        std::unique_ptr<ReplayedModule> ffn);

  State forward(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void backward_weight(Frame& frame) override;
  State replay(Frame& frame, State in) override;
  void visit(ModuleVisitor& visitor) override;

  // Bytes of transient memory that the two sites of a block need for streams of this shape and dtype.
  static size_t transient_bytes(const Tensor& x_TSC);

 private:
  std::unique_ptr<Engram> engram_;
  std::unique_ptr<ReplayedModule> attention_, ffn_;
  Slot<State> entry_;  // the state that enters attention, after Engram
};

}  // namespace birkhoff
