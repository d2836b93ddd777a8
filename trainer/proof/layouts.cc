#include "trainer/proof/layouts.h"

#include "kernels/core/error.h"

namespace birkhoff {

ProofLayout proof_layout(MeshDegrees d, int most_ranks) {
  if (d.dp == 0) d.dp = 1;
  BK_CHECK(d.tp * d.cp * d.pp * d.etp * d.ep * d.engram == 1, "layout ", layout_name(d),
           ": only dp is available yet; leave the other axes out");
  BK_CHECK(d.dp <= most_ranks, "layout ", layout_name(d), " has ", d.dp, " ranks, but --ranks allows ", most_ranks);
  return {d, d.dp};
}

std::vector<ProofLayout> all_layouts(int most_ranks) {
  std::vector<ProofLayout> layouts;
  for (const int dp : {2, 3, 4}) {
    if (dp <= most_ranks) layouts.push_back(proof_layout({.dp = dp}, most_ranks));
  }
  return layouts;
}

}  // namespace birkhoff
