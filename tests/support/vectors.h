#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/core/arena.h"
#include "kernels/core/tensor.h"

namespace birkhoff::test {

// A reference vector file: NAME in the directory that BIRKHOFF_VECTORS names, tests/vectors by default.
nlohmann::json load_vectors(const std::string& name);

// All numbers of a nested list, row-major.
std::vector<double> flatten(const nlohmann::json& nested);

// A tensor of the arena holding a nested list, its shape that of the list. Floating: f64 on the reference device.
Tensor tensor_of(Arena& arena, const nlohmann::json& nested, DType dtype = DType::f32);

// Checks a host tensor against a nested list: max |a - e| <= bound * (1 + max |e|).
void expect_vector(Tensor actual, const nlohmann::json& expected, double bound, const std::string& what);

}  // namespace birkhoff::test
