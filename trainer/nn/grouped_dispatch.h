#pragma once
#include <array>

#include "trainer/nn/expert_dispatch.h"
#include "trainer/nn/row_exchange.h"

namespace birkhoff {

// Sends a token once to each group of ranks that holds one of its experts, with its experts and gates. There it goes
// once to each rank of the group that holds one. A rank weighs and adds the outputs of its experts, so that one row
// returns for each row that came; the rows are added on the way back. The gradient of a gate is computed where the
// expert is, and returns as a number.
//
// The groups are those of the router (MoeOptions::num_groups) or unions of them, so a token has at most top_groups
// copies, whatever top_k is. If every group is one rank, there is one step.
// Source: DeepSeek-V3, arXiv:2412.19437, section 3.2.2.
class GroupedDispatch final : public ExpertDispatch {
 public:
  GroupedDispatch(Build& build, int64_t channels, const MoeOptions& options);

  DType partial() const override { return shards_.size() > 1 ? Precision::statistic() : activation_; }
  Experts::Input send(Frame& frame, const Tokens& tokens) override;
  Tensor return_outputs(Frame& frame, Tensor y, const Tokens& tokens, Tensor base) override;
  Tensor send_gradients(Frame& frame, Tensor dy_TC, const Tokens& tokens, Tensor dgate) override;
  Tensor return_gradients(Frame& frame, Tensor dx, Tensor dgate_of_input, Tensor dgate) override;

 private:
  // Between groups, then within one.
  struct Step {
    RowExchange exchange;
    int64_t first, each;  // the first expert of the ranks of the exchange, and the experts of each
    int64_t most_copies;  // of an item, if its experts are spread evenly
  };
  struct Rows {
    Tensor x, index, gate;
  };
  struct Saved {
    std::array<RowRoute, 2> routes;
    std::vector<int64_t> counts;  // rows of each rank of etp
  };
  size_t num_steps() const { return steps_[1].exchange.size() > 1 ? 2 : 1; }
  RowRoute route(Frame& frame, const Step& step, const Rows& rows, Tensor mask) const;
  // Copies of `values`, which has one row for each item, travel along the route.
  Tensor sent(Frame& frame, const Step& step, const RowRoute& route, Tensor values, Payload payload) const;
  // out = base + the sum, for each item, of what its copies give back.
  void returned(Frame& frame, const Step& step, const RowRoute& route, Tensor out, Tensor in, Tensor base,
                Payload payload) const;
  Tensor returned_items(Frame& frame, size_t step, const Saved& saved, Tensor in, Payload payload) const;
  Tensor summed(Frame& frame, const Saved& saved, DType dtype, Tensor summands) const;

  std::array<Step, 2> steps_;
  RowGather shards_;
  int64_t channels_, first_ = 0;  // the first expert of this rank
  DType activation_;
  Payloads payloads_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
