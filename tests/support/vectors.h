#pragma once
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/core/arena.h"
#include "kernels/core/tensor.h"

namespace birkhoff::test {

// Reference vectors: the .json files of the directory that BIRKHOFF_VECTORS names, tests/vectors by default. A file's
// kind follows from what it holds, whatever its name; docs/formats/vectors.md describes the kinds.
const std::vector<std::string>& vector_kinds();
// The name of a kind, "" if it is none.
std::string vector_kind(const nlohmann::json& file);
std::vector<std::string> unknown_vector_files();

// Calls `check` for every file of a kind, with the file's name in all messages; without such a file the test is
// skipped.
void for_each_vector_file(const std::string& kind, const std::function<void(const nlohmann::json&)>& check);
// The same for every element of the files' lists `list`, or for a single object under the name `single`.
void for_each_vector(const std::string& kind, const std::function<void(const nlohmann::json&)>& check,
                     const std::string& list = "cases", const std::string& single = "case");

// All numbers of a nested list, row-major.
std::vector<double> flatten(const nlohmann::json& nested);

// A tensor of the arena holding a nested list, its shape that of the list. Floating: f64 on the reference device.
Tensor tensor_of(Arena& arena, const nlohmann::json& nested, DType dtype = DType::f32);

// Checks a host tensor against a nested list: max |a - e| <= bound * (1 + max |e|).
void expect_vector(Tensor actual, const nlohmann::json& expected, double bound, const std::string& what);

}  // namespace birkhoff::test
