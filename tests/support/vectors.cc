#include "tests/support/vectors.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

void append(std::vector<double>& out, const nlohmann::json& node) {
  if (node.is_array()) {
    for (const auto& item : node) append(out, item);
  } else {
    out.push_back(node.get<double>());
  }
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

nlohmann::json load_vectors(const std::string& name) {
  std::string directory = variable("BIRKHOFF_VECTORS");
  if (directory.empty()) directory = variable("BIRKHOFF_SOURCE_DIR") + "/tests/vectors";
  const std::string path = directory + "/" + name;
  std::ifstream in(path);
  BK_CHECK(in.good(), "no vector file ", path, "; set BIRKHOFF_VECTORS to the directory of the vector files");
  return nlohmann::json::parse(in);
}

std::vector<double> flatten(const nlohmann::json& nested) {
  std::vector<double> out;
  append(out, nested);
  return out;
}

Tensor tensor_of(Arena& arena, const nlohmann::json& nested, DType dtype) {
  Shape shape;
  for (const nlohmann::json* node = &nested; node->is_array(); node = &(*node)[0]) {
    shape.append(static_cast<int64_t>(node->size()));
    if (node->empty()) break;
  }
  const Tensor tensor = arena.take(dtype, shape);
  set_values(tensor, flatten(nested));
  return tensor;
}

void expect_vector(Tensor actual, const nlohmann::json& expected, double bound, const std::string& what) {
  const auto a = values_of(actual), e = flatten(expected);
  ASSERT_EQ(a.size(), e.size()) << what;
  double scale = 1, worst = 0;
  for (double v : e) scale = std::max(scale, 1 + std::abs(v));
  for (size_t i = 0; i < e.size(); ++i) {
    const double difference = std::abs(a[i] - e[i]);
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  EXPECT_LE(worst, bound * scale) << what;
}

}  // namespace birkhoff::test
