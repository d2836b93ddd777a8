#pragma once
#include <string>
#include <string_view>

#include "parallel/mesh/mesh.h"

namespace birkhoff {

// Reads a layout as users write it: axes with their degrees, joined by dots, in any order, such as "tp2.dp2.ep4". An
// axis that is not named has degree 1, except dp, which is left open (0). "1" names no axis.
// Errors: UserError that lists everything that is wrong: an unknown axis, one that is named twice, a degree that is no
// number or 0.
MeshDegrees parse_layout(std::string_view text);

// The reverse: "tp2.dp2.ep4". Axes of degree 1, and a dp that is open, are left out; "1" if none is left.
std::string layout_name(const MeshDegrees& degrees);

}  // namespace birkhoff
