#pragma once
#include <string>
#include <vector>

#include "parallel/shard/slice.h"

namespace birkhoff {

// Checks that the boxes, which lie within a tensor of the given shape, hold every element of it exactly once. Returns
// an empty string if so, otherwise what is wrong: "8 of 10 elements are there; element [0, 2] is missing", "element [3,
// 5] is there twice". Does not name the element if finding it would take too long.
// To decide whether there is a defect, it compares two sums of products of random numbers modulo 2^61 - 1. A defect is
// overlooked only if they agree by chance.
// Cost:    the decision is linear in the number of boxes; naming an element can take longer, within a fixed limit.
std::string find_cover_defect(const Shape& shape, const std::vector<Box>& boxes);

}  // namespace birkhoff
