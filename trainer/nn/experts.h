#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/ffn_options.h"
#include "trainer/nn/module.h"
#include "trainer/nn/moe_options.h"

namespace birkhoff {

// The routed experts of a layer that this rank holds:
//   y[n] = base[n] + sum over k of gate[n,k] * down_e(swiglu(up_e(x[n])))      with e = index[n,k], the sum in f32
// The pairs (n, k) are sorted by expert, so that each expert multiplies a contiguous run of rows, which may be empty.
//
// Experts are divided over ep, and the inner width of each over etp. If etp is more than 1, y, dx and dgate are this
// rank's summands of the sums over these ranks.
// Source: DeepSeek-V3, arXiv:2412.19437, section 2.1.2.
class Experts {
 public:
  // `clamp`: FfnOptions::clamp, which applies to experts too.
  Experts(Build& build, const std::string& name, int64_t channels, const MoeOptions& options, double clamp);

  struct Input {
    Tensor x;           // [N, C]
    Tensor index;       // i32 [N, K], among the experts that this rank holds; -1: none of them
    Tensor gate;        // f32 [N, K]; absent: 1, for outputs that are weighted elsewhere
    int64_t pairs = 0;  // pairs with an expert; kCount: count them, which waits for the device
    static constexpr int64_t kCount = -1;
  };
  // y [N, C] is of the activation dtype, or f32 for summands. base may be absent, which means 0. x and index must stay
  // valid only until forward() returns, gate until the backward.
  void forward(Frame& frame, Tensor y, const Input& input, Tensor base);
  // dx [N, C] like y; dgate f32 [N, K], present if the gate was. dy is of the activation dtype. All are overwritten.
  void backward_input(Frame& frame, Tensor dx, Tensor dgate, Tensor dy);
  // A tensor for the gradient of the input's gates; absent if there were none.
  Tensor take_gate_gradient(Frame& frame) {
    const Tensor gate = frame.saved(slot_).gate;
    return gate.present() ? frame.take_statistic_gradient(gate.shape) : Tensor{};
  }
  void backward_weight(Frame& frame);
  void visit(ModuleVisitor& visitor);
  int64_t num_held() const { return held_; }

 private:
  struct Saved {
    Tensor gate;
    Tensor offsets, row_of, token_of;
    Tensor rows, up, inner, out;  // out: only if the backward or an instrument reads it
    Tensor gate_rows;             // [R], gates in the order of rows; only if gates_inner()
    Tensor dout, dup;             // from backward_input to backward_weight
  };
  bool gates_inner(const Saved& s) const { return s.gate.present() && position_ == GatePosition::inner; }
  bool gates_output(const Saved& s) const { return s.gate.present() && position_ == GatePosition::output; }
  void order(Frame& frame, Saved& saved, const Input& input);
  void combine(Frame& frame, Saved& saved, Tensor y, Tensor base);
  void share_gate_gradients(Frame& frame, const Saved& saved, Tensor dgate) const;
  void show(Frame& frame, const Saved& saved, Tensor out) const;

  std::string name_;
  GatePosition position_;
  double clamp_;
  int64_t channels_, held_ = 0, inner_ = 0;  // experts that this rank holds, and the width of their part
  DType activation_;
  Parameter up_, down_;  // [E, 2 F, C], [E, C, F]
  std::unique_ptr<GroupedGemms> up_gemms_, down_gemms_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
