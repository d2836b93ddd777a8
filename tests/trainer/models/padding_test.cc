// Padding changes neither losses, nor the loads of experts, nor gradients.
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "kernels/elementwise/copy.h"
#include "tests/support/tolerance.h"
#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

using Values = std::map<std::string, std::vector<double>>;

constexpr TinyStep kPlain{1, 6, 8, 2, 0, 1, 0}, kPadded{1, 6, 8, 2, 0, 1, 3};

// Losses, loads and gradients by name. The gradients of Engram rows are written to their places in the whole table.
Values results(Device device, const ModelOptions& options, const StepBatch& batch) {
  TinyModel tiny(device, options);
  tiny.run(batch, TinyModel::Work::gradients);
  Values out;
  for (StepCounter* c : tiny.model.parameters->counters()) out[c->name] = read_values(tiny.stream, c->value);
  const std::vector<TinyModel::Gradient> gradients = tiny.gradients();
  const size_t dense = gradients.size() - batch.engram_rows.size();
  for (size_t i = 0; i < dense; ++i) out["gradient of " + gradients[i].name] = gradients[i].values;
  for (size_t l = 0; l < batch.engram_rows.size(); ++l) {
    const std::vector<double>& rows = gradients[dense + l].values;
    const size_t width = static_cast<size_t>(options.decoder.engram.head_dim);
    std::vector<double>& all = out["gradient of " + gradients[dense + l].name];
    all.resize(static_cast<size_t>(options.table_rows[l]) * width, 0.0);
    for (size_t r = 0; r < batch.engram_rows[l].size(); ++r) {
      const size_t to = static_cast<size_t>(batch.engram_rows[l][r]) * width;
      for (size_t c = 0; c < width; ++c) all[to + c] = rows[r * width + c];
    }
  }
  return out;
}

// Changes tokens and Engram rows where the mask is 0. The set of rows in the step stays the same.
void change_padding(const ModelOptions& options, StepBatch& step) {
  for (Batch& b : step.microbatches) {
    for (size_t t = 0; t < b.tokens.size(); ++t) {
      if (b.token_mask[t] != 0) continue;
      b.tokens[t] = (b.tokens[t] + 5) % static_cast<int32_t>(options.decoder.vocab_size);
      for (size_t l = 0; l < b.engram_index.size(); ++l) {
        const size_t columns = b.engram_index[l].size() / b.tokens.size();
        for (size_t k = 0; k < columns; ++k) {
          int32_t& row = b.engram_index[l][t * columns + k];
          row = (row + 3) % static_cast<int32_t>(step.engram_rows[l].size());
        }
      }
    }
  }
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum = std::hypot(sum, a[i] - b[i]);
  return sum;
}
double size_of(const std::vector<double>& a) { return distance(a, std::vector<double>(a.size(), 0)); }

class Padding : public ::testing::TestWithParam<Variant> {};

TEST_P(Padding, MayHoldAnyTokenAndAnyRow) {
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    ModelOptions options = GetParam().options;
    options.recipe = recipe;
    StepBatch step = tiny_batch(options, kPadded);
    const Values before = results({}, options, step);
    change_padding(options, step);
    const Values after = results({}, options, step);
    ASSERT_EQ(before.size(), after.size());
    for (const auto& [name, values] : before) {
      // Padding tokens also choose experts. Their gradients are zero, but their rows shift the other rows, which
      // changes the rounding of sums over rows.
      const bool sums_over_rows = name.find(".experts.") != std::string::npos;
      EXPECT_LE(distance(values, after.at(name)), (sums_over_rows ? bound(DType::f32, 20) : 0) * size_of(values))
          << name;
    }
  }
}

TEST_P(Padding, ChangesNothing) {
  const ModelOptions& options = GetParam().options;
  const Device reference{DeviceKind::reference};
  const Values without = results(reference, options, tiny_batch(options, kPlain));
  const Values with = results(reference, options, tiny_batch(options, kPadded));
  ASSERT_EQ(without.size(), with.size());
  for (const auto& [name, values] : without) {
    const std::vector<double>& padded = with.at(name);
    ASSERT_EQ(values.size(), padded.size()) << name;
    EXPECT_LE(distance(values, padded), 1e-12 * size_of(values)) << name;
  }
}

// A rank may get a microbatch without tokens, for example when sequences are divided over ranks. The model runs as one
// stage and as several.
TEST_P(Padding, AMicrobatchWithoutSequencesChangesNothing) {
  for (const Recipe recipe : {Recipe::f32, Recipe::bf16, Recipe::fp8_block}) {
    for (const Recompute recompute : {Recompute::none, Recompute::block, Recompute::streams}) {
      ModelOptions options = GetParam().options;
      if (recompute == Recompute::streams && options.decoder.residual.type == ResidualType::plain) continue;
      options.recipe = recipe;
      options.decoder.recompute = recompute;
      const StepBatch without = tiny_batch(options, kPlain);
      const Batch empty = without_sequences(without.microbatches[0]);
      StepBatch with = without;
      with.microbatches.insert(with.microbatches.begin() + 1, empty);
      with.microbatches.push_back(empty);
      const Values expected = results({}, options, without);
      for (const std::vector<int64_t>& begins : {std::vector<int64_t>{}, {1}, {1, 2, options.decoder.num_layers + 1}}) {
        options.stage_begins = begins;
        EXPECT_EQ(results({}, options, with), expected)
            << name_of(recipe) << " " << name_of(recompute) << ", stages " << begins.size() + 1;
      }
    }
  }
}

// No loss, no gradient, and nothing that is not finite.
TEST_P(Padding, AStepWithoutTokensIsEmpty) {
  StepBatch step = tiny_batch(GetParam().options, kPlain);
  remove_sequences(step);
  for (const DeviceKind device : {DeviceKind::cpu, DeviceKind::reference}) {
    for (const auto& [name, values] : results({device}, GetParam().options, step))
      EXPECT_EQ(size_of(values), 0) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Padding, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test
