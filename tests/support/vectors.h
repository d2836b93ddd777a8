#pragma once
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/core/arena.h"
#include "kernels/core/tensor.h"

namespace birkhoff::test {

// Reference vectors are the .json files in the directory that BIRKHOFF_VECTORS names, by default tests/vectors. The
// kind of a file follows from its contents, not its name. docs/formats/vectors.md describes the kinds.
const std::vector<std::string>& vector_kinds();
// The name of the kind of a file, or "" if it is none of them.
std::string vector_kind(const nlohmann::json& file);
std::vector<std::string> unknown_vector_files();

// Calls `check` for every file of a kind, and adds the name of the file to all messages. Skips the test if there is no
// such file.
void for_each_vector_file(const std::string& kind, const std::function<void(const nlohmann::json&)>& check);
// The same for every element of the list `list` in each file, or for the single object `single`.
void for_each_vector(const std::string& kind, const std::function<void(const nlohmann::json&)>& check,
                     const std::string& list = "cases", const std::string& single = "case");

// All numbers of a nested list in row-major order.
std::vector<double> flatten(const nlohmann::json& nested);

// A tensor in the arena with the values and the shape of a nested list. A floating-point dtype becomes f64 on the
// reference device.
Tensor tensor_of(Arena& arena, const nlohmann::json& nested, DType dtype = DType::f32);

// Checks a host tensor against a nested list: max |a - e| <= bound * (1 + max |e|).
void expect_vector(Tensor actual, const nlohmann::json& expected, double bound, const std::string& what);

}  // namespace birkhoff::test
