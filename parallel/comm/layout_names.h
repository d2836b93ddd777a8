#pragma once
#include <string>
#include <vector>

namespace birkhoff {

// What messages and dumps say of the layout of a run. Both are empty before the layout is known.
struct LayoutNames {
  std::string layout;                    // "tp2.dp2"
  std::vector<std::string> coordinates;  // of each rank of the world: "tp 1, dp 0"; empty if no axis has several ranks
};

// "rank 3 of 4 (tp 1, dp 1)"
std::string name_of_rank(int rank, int ranks, const LayoutNames& names);

}  // namespace birkhoff
