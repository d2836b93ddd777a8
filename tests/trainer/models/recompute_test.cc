// Recomputation changes memory and nothing else.
#include <gtest/gtest.h>

#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

struct Result {
  double loss = 0;
  std::vector<TinyModel::Gradient> gradients;
  size_t bytes = 0;
};

Result run(Device device, ModelOptions options, Recompute recompute) {
  options.decoder.recompute = recompute;
  TinyModel tiny(device, options);
  Result r;
  r.loss = tiny.run(tiny_batch(options, {}), TinyModel::Work::gradients);
  r.gradients = tiny.gradients();
  r.bytes = tiny.peak_bytes();
  return r;
}

void expect_same_bits(const Result& kept, const Result& rebuilt) {
  EXPECT_EQ(kept.loss, rebuilt.loss);
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    EXPECT_EQ(kept.gradients[i].values, rebuilt.gradients[i].values) << kept.gradients[i].name;
  }
}

class Recomputation : public ::testing::TestWithParam<Variant> {
 protected:
  ModelOptions options(Recipe recipe) const {
    ModelOptions o = GetParam().options;
    o.recipe = recipe;
    o.decoder.num_layers = 4;
    o.decoder.channels = 44;  // more than one vector, and a rest
    return o;
  }
};

TEST_P(Recomputation, OfBlocksGivesTheSameBits) {
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    const Result kept = run({}, options(recipe), Recompute::none);
    const Result rebuilt = run({}, options(recipe), Recompute::block);
    expect_same_bits(kept, rebuilt);
    EXPECT_LT(rebuilt.bytes, kept.bytes);
  }
}

TEST_P(Recomputation, OfStreamsGivesTheSameBits) {
  if (GetParam().options.decoder.residual.kind == ResidualKind::plain) GTEST_SKIP() << "there is one stream";
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    const Result kept = run({}, options(recipe), Recompute::none);
    const Result rebuilt = run({}, options(recipe), Recompute::streams);
    expect_same_bits(kept, rebuilt);
    EXPECT_LT(rebuilt.bytes, kept.bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Recomputation, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test
