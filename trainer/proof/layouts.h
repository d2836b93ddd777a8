#pragma once
#include <string>
#include <vector>

#include "parallel/mesh/layout.h"

namespace birkhoff {

// A layout to prove: the degrees, and the number of ranks that they make.
struct ProofLayout {
  MeshDegrees degrees;
  int ranks = 1;
  std::string name() const { return layout_name(degrees); }
};
// Errors: UserError if the layout needs an axis that is not available yet, or more than `most_ranks`.
ProofLayout proof_layout(MeshDegrees degrees, int most_ranks);
// Every axis alone at 2, 3 and 4, as far as so many ranks allow.
std::vector<ProofLayout> all_layouts(int most_ranks);

}  // namespace birkhoff
