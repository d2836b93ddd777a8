#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "parallel/mesh/mesh.h"

namespace birkhoff {

// The axes that a layout may name, in the order in which it is printed. edp follows from the others.
inline constexpr Axis kLayoutAxes[] = {Axis::tp, Axis::cp, Axis::dp, Axis::pp, Axis::etp, Axis::ep, Axis::engram};
// The degree of one of these axes.
int& degree_of(MeshDegrees& degrees, Axis axis);
int degree_of(const MeshDegrees& degrees, Axis axis);

struct AxisDegree {
  Axis axis;
  int degree;
};
struct NamedLayout {
  std::vector<AxisDegree> axes;
  Dispatch dispatch = Dispatch::plain;
  bool names_dispatch = false;
};
// Reads a layout as users write it: axes with their degrees, joined by dots, in any order, such as "tp2.dp2.ep4", and
// "grouped" for the grouped dispatch, as in "ep4.grouped". "1" names no axis. Returns what is named.
// Errors: UserError that lists everything that is wrong: an unknown axis with the nearest name, one that is named
// twice, a degree that is no number or 0.
NamedLayout read_layout(std::string_view text);
// The same as degrees: an axis that is not named has degree 1, except dp, which is left open (0).
// Errors: also UserError for "grouped" without ep.
MeshDegrees parse_layout(std::string_view text);

// The reverse: "tp2.dp2.ep4.grouped". Axes of degree 1, and a dp that is open, are left out; "1" if nothing is left.
std::string layout_name(const MeshDegrees& degrees);

// The layout on the fewest ranks: an open dp becomes the least one with which etp x ep and engram divide the ranks of a
// stage. So "ep2" is two replicas that share the experts.
MeshDegrees with_least_dp(MeshDegrees degrees);

}  // namespace birkhoff
