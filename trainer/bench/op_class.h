#pragma once
#include <string_view>

namespace birkhoff {

// The kind of work that an op does, for the table of a step: "gemm", "grouped_gemm", "pack_weight", "attention",
// "norm", "residual", "moe", "engram", "embedding", "loss", "elementwise" or "optimizer"; "other" for an unknown op.
std::string_view op_class(std::string_view op);

}  // namespace birkhoff
