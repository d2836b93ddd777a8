#pragma once
#include <algorithm>
#include <optional>

#include "trainer/nn/engram_options.h"
#include "trainer/nn/linear.h"

namespace birkhoff {

// Conditional memory at the start of a block: gates the rows that the token's n-grams address into every stream. The
// addresses and the fetched rows come with the batch (BatchView), and the gradients of the rows are added there too.
// Under tensor parallelism a rank computes its own tokens; the convolution also needs the gated values of a few earlier
// tokens, the halo, which other ranks have.
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
    Tensor h, kv, gate, score, rstd_h, rstd_k, conv_rstd;
    Tensor value;  // gated values of the halo and of own tokens, [halo + T, S, C]; only with the convolution
  };
  // The exchange of gated values between ranks. Each rank offers its last tail_of(T) tokens to all others, as many as
  // any of them may need from it.
  int64_t tail_of(int64_t own_tokens) const { return std::min(halo_, own_tokens); }
  // The rows of `tails` [ranks * tail, ...] that lie just before own tokens, at most `halo` of them.
  Tensor before_own(Tensor tails, int64_t tail) const;
  void fetch_halo(Frame& frame, Tensor value) const;
  // Sends the gradient of the halo to the ranks that have its tokens, and adds what they send. Returns the gradient of
  // own tokens.
  Tensor return_halo(Frame& frame, Tensor dvalue) const;
  // The rows of each own token, i32 [T, K].
  Tensor index_TK(const BatchView& batch) const {
    return batch.engram_index.at(table_index_).view({batch.own.count, options_.rows_per_token()});
  }

  std::string name_;
  EngramOptions options_;
  int64_t streams_;
  size_t table_index_;
  DType activation_;
  TokenExchange exchange_;
  int64_t halo_;  // 0 if one rank has all tokens
  Linear wkv_;
  Parameter w_h_, w_k_, conv_gain_, conv_weight_;
  Slot<Saved> slot_;
};

}  // namespace birkhoff
