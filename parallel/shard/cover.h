#pragma once
#include <string>
#include <vector>

#include "parallel/shard/slice.h"

namespace birkhoff {

// Checks that the boxes, which lie within a tensor of the given shape, hold every element of it exactly once. Returns
// an empty string if so, otherwise what is wrong: "8 of 10 elements are there; element [0, 2] is missing", "element [3,
// 5] is there twice". Does not name the element if finding it would take too long.
// Cost:    linear in the number of boxes for the answer itself. The answer is wrong only if two sums of products of
//          random numbers modulo 2^61 - 1 agree by chance.
std::string find_cover_defect(const Shape& shape, const std::vector<Box>& boxes);

}  // namespace birkhoff
