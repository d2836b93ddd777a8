#pragma once
#include <memory>

#include "kernels/rope/rope.h"
#include "trainer/nn/linear.h"
#include "trainer/nn/norm.h"

namespace birkhoff {

struct AttentionOptions {
  enum class Kind : uint8_t { gqa, mla } kind = Kind::gqa;  // mha is gqa with as many key heads as query heads
  int64_t num_heads = 1, num_kv_heads = 1, head_dim = 64;
  bool bias = false;     // not of mla
  bool qk_norm = false;  // RMS-normalize every query and key head, without weights; mla: queries alone, before rotation
  // mla
  int64_t q_lora_rank = 0;  // 0: queries straight from the input
  int64_t kv_lora_rank = 512, nope_dim = 128, rope_dim = 64, v_dim = 128;
  // Rotated dims of a gqa head, the last ones; 0 is none (learned positions).
  int64_t gqa_rope_dims = 0;
  RopeOptions rope;
};

// Multi-head, grouped-query or latent attention over the documents of the batch, [T, C] -> [T, C].
// Sources: Vaswani et al. 2017; Ainslie et al. 2023, arXiv:2305.13245; MLA: DeepSeek-V2, arXiv:2405.04434, section 2.1,
// with the shapes of spec V3 (arXiv:2412.19437, section 2.1.1). qk_norm of mla is DeepSeek-V4's: the latent of keys and
// values has a norm of its own.
std::unique_ptr<Module> make_attention(Build& build, const std::string& name, int64_t channels,
                                       const AttentionOptions& options);

}  // namespace birkhoff
