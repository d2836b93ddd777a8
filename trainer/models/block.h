#pragma once
#include "trainer/nn/engram.h"
#include "trainer/nn/residual.h"

namespace birkhoff {

enum class Recompute : uint8_t {
  none,
  block,    // a block keeps its input only and runs forward again before its backward
  streams,  // a block keeps its input and the sublayers' outputs; streams and norms are mixed again
            // (arXiv:2512.24880, 4.3.2)
};

// One layer of the decoder: Engram, where it has one, then attention, then feed-forward, each in its residual
// connection.
class Block final : public StateModule {
 public:
  Block(Build& build, std::unique_ptr<Engram> engram, std::unique_ptr<Residual> attention,
        std::unique_ptr<Residual> ffn, Recompute recompute);

  State forward(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

  // Mixing matrices of the sites in order, appended; nothing for a plain residual, or for a recomputed block without
  // Frame::keep_combs.
  void append_combs(Frame& frame, std::vector<Tensor>& combs);

 private:
  struct Saved {
    State in, entry;            // of the block; of its first sublayer
    std::vector<Tensor> combs;  // copies, of a recomputed block
  };
  State run(Frame& frame, State in);
  State keep(Frame& frame, State out);
  std::vector<Tensor> combs(Frame& frame);
  State run_backward(Frame& frame, State d);
  State backward_recomputed(Frame& frame, State d);
  void replay_streams(Frame& frame);

  std::unique_ptr<Engram> engram_;
  std::unique_ptr<Residual> attention_, ffn_;
  Recompute recompute_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
