#pragma once
#include <string>
#include <vector>

#include "parallel/shard/slice.h"

namespace birkhoff {

// Whether boxes, which lie within a tensor of the given shape, hold every element of it exactly once. Empty if so, else
// what is wrong: "8 of 10 elements are there; element [0, 2] is missing", "element [3, 5] is there twice". Where that
// would take too long to find, the element is not named.
// Cost: the answer takes time linear in the number of boxes. It is wrong only where two sums of products of random
// numbers modulo 2^61 - 1 agree by chance.
std::string find_cover_defect(const Shape& shape, const std::vector<Box>& boxes);

}  // namespace birkhoff
