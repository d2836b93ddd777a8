#pragma once
#include <functional>
#include <string>
#include <vector>

#include "parallel/mesh/layout.h"
#include "trainer/config/layout_rules.h"

namespace birkhoff {

// A layout to prove: the degrees, and the number of ranks that they make.
struct ProofLayout {
  MeshDegrees degrees;  // dp is given
  int ranks = 1;
  std::string name() const { return layout_name(degrees); }
};

// What decides about a layout.
struct LayoutRules {
  std::vector<Axis> axes{std::begin(kAvailableAxes), std::end(kAvailableAxes)};
  int most_ranks = 8;
  std::string most_ranks_by = "--ranks allows";  // said before the number, where a layout needs more
  // Why a config does not allow these degrees; empty if it does.
  std::function<std::string(const MeshDegrees&)> refusal = [](const MeshDegrees&) { return std::string(); };
};

// The degrees with the least dp that lets etp x ep and engram divide the ranks of a stage, unless dp is given.
// Errors: UserError, naming the layout, if it needs an axis that is not available, if the degrees do not fit, if the
// config does not allow them, or if they make too many ranks.
ProofLayout proof_layout(const MeshDegrees& degrees, const LayoutRules& rules);
// The same for the available axes, whatever the config.
ProofLayout proof_layout(const MeshDegrees& degrees, int most_ranks);

struct LayoutChoice {
  std::vector<ProofLayout> layouts;
  struct LeftOut {
    std::string name, reason;
  };
  std::vector<LeftOut> left_out;
};

// Every axis alone at 2 and 4, every pair and every triple of axes at the least degrees that the rules allow; those of
// them that divide experts also with the grouped dispatch. A layout
// whose groups are those of another is not taken again: since experts fold over the replicas, ep2 needs two replicas
// and is dp2.ep2 already, so the pair of dp and ep is dp4.ep2.
LayoutChoice all_layouts(const LayoutRules& rules);

// The layouts of a list such as "dp2,tp2.ep2", or all of them for "all". A layout that is named twice is taken once.
// Named ones with ep that do not say "grouped" have the given dispatch.
// Errors: UserError that lists everything that is wrong with the list.
LayoutChoice choose_layouts(const std::string& list, const LayoutRules& rules, Dispatch dispatch = Dispatch::plain);

}  // namespace birkhoff
