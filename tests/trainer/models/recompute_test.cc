// Recomputation changes memory and nothing else.
#include <array>

#include <gtest/gtest.h>

#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

struct Result {
  double loss = 0;
  std::vector<TinyModel::Gradient> gradients;
  size_t bytes = 0;
};

Result run(Device device, ModelOptions options, Recompute recompute, int64_t layers = 0) {
  options.decoder.recompute = recompute;
  options.decoder.recompute_layers = layers;
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
    o.decoder.hidden_size = 44;  // not a multiple of the vector width
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
  if (GetParam().options.decoder.residual.type == ResidualType::plain) GTEST_SKIP() << "there is one stream";
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    const Result kept = run({}, options(recipe), Recompute::none);
    for (int64_t layers : {0, 1, 2, 3, 4}) {  // with 3, the last group has one block
      SCOPED_TRACE(layers);
      const Result rebuilt = run({}, options(recipe), Recompute::streams, layers);
      expect_same_bits(kept, rebuilt);
      EXPECT_LT(rebuilt.bytes, kept.bytes);
    }
  }
}

TEST_P(Recomputation, OfStreamsGivesTheSameBitsWithSeveralMicrobatchesInFlight) {
  if (GetParam().options.decoder.residual.type == ResidualType::plain) GTEST_SKIP() << "there is one stream";
  ModelOptions o = options(Recipe::f32);
  const StepBatch batch = tiny_batch(o, {});
  TinyModel kept({}, o);
  o.decoder.recompute = Recompute::streams;
  o.decoder.recompute_layers = 3;
  TinyModel rebuilt({}, o);
  const Program program = forwards_first(static_cast<int>(batch.microbatches.size()));
  EXPECT_EQ(rebuilt.run(batch, program), kept.run(batch, program));
  const auto a = kept.gradients(), b = rebuilt.gradients();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].values, b[i].values) << a[i].name;
}

INSTANTIATE_TEST_SUITE_P(Variants, Recomputation, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

// Values per token: S C for every group, and (S + 2) C for every sublayer of one group.
TEST(StreamGroups, TakeTheBytesOfTheFormula) {
  ModelOptions o = full_options();
  DecoderOptions& d = o.decoder;
  d.hidden_size = 64;  // tensors need no padding in the arena
  d.num_layers = 12;
  d.engram.layers = {};
  o.table_rows = {};
  d.mtp.depth = 0;
  const TinyStep step{1, 4, 16, 4, 0, 1};
  auto bytes = [&](Recompute recompute, int64_t layers) {
    ModelOptions options = o;
    options.decoder.recompute = recompute;
    options.decoder.recompute_layers = layers;
    TinyModel tiny({DeviceKind::meta}, options);
    tiny.run(tiny_batch(options, step), TinyModel::Work::gradients);
    return static_cast<int64_t>(tiny.peak_bytes());
  };
  const int64_t S = d.residual.num_streams(), unit = 4 * 16 * d.hidden_size * static_cast<int64_t>(sizeof(float));
  auto formula = [&](int64_t g) { return unit * (S * ((d.num_layers + g - 1) / g) + 2 * g * (S + 2)); };
  for (int64_t g : {1, 2, 3, 5, 12}) {
    EXPECT_EQ(bytes(Recompute::streams, g) - bytes(Recompute::streams, 1), formula(g) - formula(1)) << g;
    EXPECT_GE(formula(g), formula(best_stream_group(d.num_layers, S)));
  }
  EXPECT_EQ(bytes(Recompute::streams, 0), bytes(Recompute::streams, best_stream_group(d.num_layers, S)));
  // Without recomputation every sublayer of the model keeps its (S + 2) C values.
  EXPECT_EQ(bytes(Recompute::none, 0) - bytes(Recompute::streams, 1), unit * 2 * d.num_layers * (S + 2) - formula(1));
}

// The least memory in units of C values per token: 48, 60, 76, 88 and 92 for 24, 36, 60, 80 and 86 sublayers.
TEST(StreamGroups, HaveTheSizeThatTakesLeastMemory) {
  const std::vector<std::array<int64_t, 3>> cases{{12, 2, 48}, {18, 2, 60}, {30, 3, 76}, {40, 4, 88}, {43, 4, 92}};
  for (const auto& [blocks, group, size] : cases) {
    EXPECT_EQ(best_stream_group(blocks, 4), group);
    EXPECT_EQ(4 * ((blocks + group - 1) / group) + 2 * group * 6, size);
  }
  EXPECT_EQ(best_stream_group(1, 4), 1);
}

}  // namespace
}  // namespace birkhoff::test
