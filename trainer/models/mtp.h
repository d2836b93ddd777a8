#pragma once
#include <memory>
#include <string>

#include "trainer/nn/hyper_connection.h"
#include "trainer/nn/linear.h"

namespace birkhoff {

// An MTP predictor (multi-token prediction). It joins the streams of the previous depth with the embedding of a later
// token, runs one block on them, and has a collapse and a norm of its own for the head:
//   x_0[t,s] = h_proj(norm(x[t,s])) + e_proj(norm(embedding(token d ahead of t)))      for the predictor of depth d
// With one stream this is M [h; e] of the paper, where M = [h_proj e_proj].
// Source: DeepSeek-V3, arXiv:2412.19437, section 2.2; with streams as in DeepSeek-V4.
class Mtp final {
 public:
  Mtp(Build& build, const std::string& name, int64_t channels, const ResidualOptions& residual,
      std::unique_ptr<StateModule> block);
  // `main` is the State of the previous depth; `embedded` [T, C] are the embeddings of the later tokens.
  State forward(Frame& frame, State main, Tensor embedded);
  struct Gradients {
    State main;
    Tensor embedded;
  };
  // Also adds the gradients of all weights of the predictor except those of its collapse and norm.
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
