#include "trainer/bench/op_class.h"

#include <utility>

namespace birkhoff {

// Returns the class of the first matching prefix, so a longer prefix such as "sinkhorn_backward" must come before a
// shorter one such as "sinkhorn_".
std::string_view op_class(std::string_view op) {
  static constexpr std::pair<std::string_view, std::string_view> kClasses[] = {
      {"gemm", "gemm"},
      {"grouped_gemm", "grouped_gemm"},
      {"pack_weight", "pack_weight"},
      {"attention", "attention"},
      {"mla_heads", "attention"},
      {"rope", "attention"},
      {"rmsnorm", "norm"},
      {"layernorm", "norm"},
      {"hyper_", "residual"},
      {"hc_", "residual"},
      {"sinkhorn_backward", "residual"},
      {"sinkhorn_", "optimizer"},
      {"sinkhorn", "residual"},
      {"router_bias_update", "optimizer"},
      {"router", "moe"},
      {"permute", "moe"},
      {"combine", "moe"},
      {"expert_order", "moe"},
      {"pair_destinations", "moe"},
      {"token_destinations", "moe"},
      {"own_experts", "moe"},
      {"balance_", "moe"},
      {"engram_", "engram"},
      {"fp8_rows", "engram"},
      {"embedding", "embedding"},
      {"cross_entropy", "loss"},
      {"head_loss", "loss"},
      {"adamw", "optimizer"},
      {"muon", "optimizer"},
      {"inverse_norm", "optimizer"},
      {"exact_squares", "optimizer"},
      {"flag_nonfinite", "optimizer"},
      {"abs_max", "optimizer"},
      {"add", "elementwise"},
      {"bias", "elementwise"},
      {"gelu", "elementwise"},
      {"swiglu", "elementwise"},
      {"copy", "elementwise"},
      {"fill", "elementwise"},
      {"scale", "elementwise"},
      {"split_columns", "elementwise"},
      {"concat_columns", "elementwise"},
  };
  for (const auto& [prefix, kind] : kClasses) {
    if (op.starts_with(prefix)) return kind;
  }
  return "other";
}

}  // namespace birkhoff
