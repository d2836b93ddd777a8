#pragma once
#include "trainer/nn/expert_dispatch.h"
#include "trainer/nn/row_exchange.h"

namespace birkhoff {

// Sends every pair of a token and an expert by itself to the rank that holds the expert. The outputs return pair by
// pair, and are weighed and added at home in the order of k, as on one rank. An expert's rows are ordered by the rank
// along etp, then along ep, that they come from, then by (t, k).
class PlainDispatch final : public ExpertDispatch {
 public:
  PlainDispatch(Build& build, int64_t channels, const MoeOptions& options);

  DType partial() const override { return shards_.size() > 1 ? Precision::statistic() : activation_; }
  Experts::Input send(Frame& frame, const Tokens& tokens) override;
  Tensor return_outputs(Frame& frame, Tensor y, const Tokens& tokens, Tensor base) override;
  Tensor send_gradients(Frame& frame, Tensor dy_TC, const Tokens& tokens, Tensor dgate) override;
  Tensor return_gradients(Frame& frame, Tensor dx, Tensor dgate_of_input, Tensor dgate) override;

 private:
  struct Saved {
    RowRoute route;
    std::vector<int64_t> counts;  // rows of each rank of etp
    Tensor out;                   // [S, C]; only if the gates weigh the outputs
  };
  RowRoute route(Frame& frame, const Tokens& tokens) const;
  Tensor send_tokens(Frame& frame, const Saved& saved, Tensor x_TC) const;
  // The experts of the rows, by their numbers on this rank.
  Tensor send_experts(Frame& frame, const Saved& saved, Tensor index) const;
  // The gates of the rows, which stay valid until the backward.
  Tensor send_gates(Frame& frame, const Saved& saved, Tensor gate) const;
  // Of each rank's summands for the rows of all ranks of etp, the sums for the rows that came to this rank.
  Tensor summed(Frame& frame, const Saved& saved, Tensor summands) const;
  void return_gate_gradients(Frame& frame, const Saved& saved, Tensor dgate_of_input, Tensor dgate) const;

  RowExchange exchange_;
  RowGather shards_;
  int64_t channels_, each_, first_;  // experts of each rank, and the first of this one
  bool inner_;                       // the gates weigh the inner activations, so they travel
  DType activation_;
  Payloads payloads_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
