#pragma once
#include <memory>

#include "trainer/nn/attention_options.h"
#include "trainer/nn/linear.h"
#include "trainer/nn/norm.h"

namespace birkhoff {

// Multi-head, grouped-query or latent attention over the documents of the batch, [T, C] -> [T, C].
// Sources: Vaswani et al. 2017; Ainslie et al. 2023, arXiv:2305.13245; MLA: DeepSeek-V2, arXiv:2405.04434, section 2.1,
// with the shapes of DeepSeek-V3 (arXiv:2412.19437, section 2.1.1). With mla, qk_norm normalizes only the queries, as
// in DeepSeek-V4, because the latent of keys and values always has a norm.
// Under tensor parallelism a rank computes its own heads for the tokens of all ranks (TokenExchange).
// `rope` is null if positions are learned; nothing is rotated then.
std::unique_ptr<Module> make_attention(Build& build, const std::string& name, int64_t channels,
                                       const AttentionOptions& options, const RotaryOptions* rope);

}  // namespace birkhoff
