#include "trainer/nn/attention.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

ModelOptions options_of(const std::string& variant) {
  for (const Variant& v : variants()) {
    if (v.name == variant) return v.options;
  }
  ADD_FAILURE() << "no variant " << variant;
  return {};
}

// The loss of one step, after the weights whose names end in `suffix` are multiplied by `factor`.
double loss(const ModelOptions& options, const std::string& suffix = "", double factor = 1) {
  TinyModel tiny({DeviceKind::reference}, options);
  int scaled = 0;
  for (const auto& entry : tiny.model.parameters->entries()) {
    const std::string& name = entry.parameter->name;
    if (suffix.empty() || name.size() < suffix.size() || name.substr(name.size() - suffix.size()) != suffix) continue;
    std::vector<double> values = values_of(entry.parameter->value);
    for (double& v : values) v *= factor;
    set_values(entry.parameter->value, values);
    ++scaled;
  }
  EXPECT_EQ(scaled > 0, !suffix.empty()) << "no weight ends in " << suffix;
  tiny.model.parameters->values_changed();
  return tiny.run(tiny_batch(options, {}), TinyModel::Work::loss);
}

TEST(Attention, YarnChangesNothingWhereNothingRotates) {
  ModelOptions learned = options_of("gpt"), rotated = options_of("plain");
  const double before[] = {loss(learned), loss(rotated)};
  learned.decoder.rope.yarn.factor = rotated.decoder.rope.yarn.factor = 8;
  EXPECT_EQ(loss(learned), before[0]);
  EXPECT_NE(loss(rotated), before[1]);
}

TEST(Attention, NormalizedQueriesOfMlaDoNotDependOnTheScaleOfTheirWeight) {
  ModelOptions o = options_of("single_pass");
  ASSERT_TRUE(o.decoder.attention.qk_norm);
  o.decoder.norm.eps = 0;
  EXPECT_NEAR(loss(o, ".q.weight", 3), loss(o), kVectorBound * loss(o));
  o.decoder.attention.qk_norm = false;
  EXPECT_GT(std::abs(loss(o, ".q.weight", 3) - loss(o)), 1e-6);
}

}  // namespace
}  // namespace birkhoff::test
