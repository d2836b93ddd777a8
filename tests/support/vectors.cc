#include "tests/support/vectors.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

using nlohmann::json;

void append(std::vector<double>& out, const json& node) {
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

std::filesystem::path directory() {
  const std::string chosen = variable("BIRKHOFF_VECTORS");
  return chosen.empty() ? variable("BIRKHOFF_SOURCE_DIR") + "/tests/vectors" : chosen;
}

std::vector<std::filesystem::path> files() {
  BK_CHECK(std::filesystem::is_directory(directory()), "no directory ", directory().string(),
           "; set BIRKHOFF_VECTORS to the directory of the vector files");
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory())) {
    if (entry.path().extension() == ".json") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

json parsed(const std::filesystem::path& path) {
  std::ifstream in(path);
  json file = json::parse(in, nullptr, /*allow_exceptions=*/false);
  BK_CHECK(!file.is_discarded(), path.string(), " is not JSON, or cannot be read");
  return file;
}

// A kind, and a path of keys that only files of this kind have. Where the path meets a list, it goes on in its first
// element.
struct Kind {
  const char* name;
  std::vector<const char*> path;
};
const std::vector<Kind> kKinds{{"mhc_sinkhorn", {"cases", "logits"}},
                               {"mhc_sinkhorn_stats", {"stats", "out_sum_err_median"}},
                               {"mhc_site", {"cases", "fn"}},
                               {"mhc_stack", {"emb"}},
                               {"engram_hash", {"compressed_vocab"}},
                               {"engram_layouts", {"layouts", "bases"}},
                               {"engram_layouts", {"tiny_hash", "bases"}},
                               {"engram_gate", {"cases", "score"}},
                               {"engram_conv_module", {"case", "conv_w"}},
                               {"engram_conv_module", {"cases", "conv_w"}},
                               {"engram_fp8_module", {"table_bytes"}},
                               {"engram_normalizer", {"rows", "key"}},
                               {"sinkhorn_balanced_update", {"W0"}}};

bool holds(const json& file, const std::vector<const char*>& path) {
  const json* node = &file;
  for (const char* key : path) {
    if (node->is_array() && !node->empty()) node = &node->front();
    if (!node->is_object() || !node->contains(key)) return false;
    node = &node->at(key);
  }
  return true;
}

}  // namespace

const std::vector<std::string>& vector_kinds() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Kind& kind : kKinds) {
      if (out.empty() || out.back() != kind.name) out.emplace_back(kind.name);
    }
    return out;
  }();
  return names;
}

std::string vector_kind(const json& file) {
  for (const Kind& kind : kKinds) {
    if (holds(file, kind.path)) return kind.name;
  }
  return "";
}

std::vector<std::string> unknown_vector_files() {
  std::vector<std::string> out;
  for (const auto& path : files()) {
    if (vector_kind(parsed(path)).empty()) out.push_back(path.string());
  }
  return out;
}

void for_each_vector_file(const std::string& kind, const std::function<void(const json&)>& check) {
  int found = 0;
  for (const auto& path : files()) {
    const json file = parsed(path);
    if (vector_kind(file) != kind) continue;
    SCOPED_TRACE(path.filename().string());
    ++found;
    check(file);
  }
  if (found == 0) GTEST_SKIP() << "no vectors of the kind " << kind << " in " << directory().string();
}

void for_each_vector(const std::string& kind, const std::function<void(const json&)>& check, const std::string& list,
                     const std::string& single) {
  for_each_vector_file(kind, [&](const json& file) {
    const json items = file.contains(single) ? json::array({file.at(single)}) : file.value(list, json::array());
    EXPECT_FALSE(items.empty()) << "no " << list;
    for (size_t i = 0; i < items.size(); ++i) {
      SCOPED_TRACE(list + "[" + std::to_string(i) + "]");
      check(items[i]);
    }
  });
}

std::vector<double> flatten(const json& nested) {
  std::vector<double> out;
  append(out, nested);
  return out;
}

Tensor tensor_of(Arena& arena, const json& nested, DType dtype) {
  Shape shape;
  for (const json* node = &nested; node->is_array(); node = &(*node)[0]) {
    shape.append(static_cast<int64_t>(node->size()));
    if (node->empty()) break;
  }
  const Tensor tensor = arena.take(dtype, shape);
  set_values(tensor, flatten(nested));
  return tensor;
}

void expect_vector(Tensor actual, const json& expected, double bound, const std::string& what) {
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
