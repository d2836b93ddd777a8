#pragma once
#include <memory>
#include <string>

#include "trainer/nn/hyper_connection.h"
#include "trainer/nn/linear.h"

namespace birkhoff {

// A further-token predictor: [streams; embedding of the next token] -> one block -> streams, with its own collapse and
// norm.
//   x_0[t,s] = h_proj(norm(x[t,s])) + e_proj(norm(embedding(next token)))
// For one stream this is the M [h; e] of the paper, with M = [h_proj e_proj].
// Source: DeepSeek-V3, arXiv:2412.19437, section 2.2; with streams as in DeepSeek-V4.
class Mtp final {
 public:
  Mtp(Build& build, const std::string& name, int64_t channels, const ResidualOptions& residual,
      std::unique_ptr<StateModule> block);
  State forward(Frame& frame, State main, Tensor embedded);
  struct Gradients {
    State main;
    Tensor embedded;
  };
  // Weight gradients included.
  Gradients backward(Frame& frame, State d);
  void visit(ModuleVisitor& visitor);
  Collapse& collapse() { return collapse_; }
  Norm& norm() { return norm_; }

 private:
  int64_t streams_;
  Norm embedding_norm_, hidden_norm_;
  Linear e_proj_, h_proj_;
  std::unique_ptr<StateModule> block_;
  Collapse collapse_;
  Norm norm_;
};

}  // namespace birkhoff
