#pragma once
#include <string_view>

namespace birkhoff {

// What kind of work an op is, for the table of a step: "gemm", "grouped_gemm", "pack_weight", "attention", "norm",
// "residual", "moe", "engram", "embedding", "loss", "elementwise", "optimizer"; "other" for an op that is not known.
std::string_view op_class(std::string_view op);

}  // namespace birkhoff
