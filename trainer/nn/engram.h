#pragma once
#include <optional>

#include "trainer/nn/engram_options.h"
#include "trainer/nn/linear.h"

namespace birkhoff {

// Conditional memory at the start of a block: gates the rows that the token's n-grams address into every stream. The
// addresses and the fetched rows come with the batch (BatchView), and the gradients of the rows are added there too.
// Source: Engram, arXiv:2601.07372, sections 2.2-2.4; gate as in DeepSeek-V4.1.
class Engram final : public StateModule {
 public:
  // `table_index`: index of this layer among the model's Engram layers, and so of its table in BatchView.
  Engram(Build& build, const std::string& name, int64_t channels, int64_t streams, size_t table_index,
         const EngramOptions& options);

  State forward(Frame& frame, State in) override;
  State backward_input(Frame& frame, State d) override;
  void backward_weight(Frame& frame) override;
  void visit(ModuleVisitor& visitor) override;

 private:
  struct Saved {
    Tensor h, kv, value, gate, score, rstd_h, rstd_k, conv_rstd;
  };
  // The rows of each token, i32 [T, K].
  Tensor index_TK(const BatchView& batch) const {
    return batch.engram_index.at(table_index_).view({batch.num_tokens(), options_.rows_per_token()});
  }

  std::string name_;
  EngramOptions options_;
  int64_t streams_;
  size_t table_index_;
  DType activation_;
  Linear wkv_;
  Parameter w_h_, w_k_, conv_gain_, conv_weight_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
