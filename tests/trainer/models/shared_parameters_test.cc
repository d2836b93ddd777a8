// A parameter with several uses in a model: its gradient does not depend on the order in which they run.
#include <gtest/gtest.h>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "parallel/comm/threads/thread_world.h"
#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

class SharedParameters : public ::testing::TestWithParam<Variant> {};

TEST_P(SharedParameters, HaveTheSameGradientsInAnyOrderOfTheMicrobatches) {
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    ModelOptions options = GetParam().options;
    options.recipe = recipe;
    const StepBatch batch = tiny_batch(options, {});
    ASSERT_GE(batch.microbatches.size(), 3u);
    TinyModel in_turn({}, options), losses_first({}, options);
    const double loss = in_turn.run(batch, TinyModel::Work::gradients);
    EXPECT_EQ(losses_first.run(batch, forwards_first(static_cast<int>(batch.microbatches.size()))), loss);
    const auto a = in_turn.gradients(), b = losses_first.gradients();
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].values == b[i].values) << a[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, SharedParameters, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

// The gradient of a table with three uses. `order` lists the uses as they run, each once per microbatch.
std::vector<double> gradient_of_table(const std::vector<int>& order) {
  constexpr int64_t kTokens = 40, kChannels = 5;
  constexpr int kUses = 3;
  Stream stream;
  Build build;
  Embedding embedding(build, "embedding", 7, kChannels, 0);
  embedding.table().num_uses = kUses;
  const auto world = make_thread_world(1);
  const Mesh mesh(*world[0], {});
  ParameterStore store(
      {}, mesh,
      [&](ModuleVisitor& v) {
        v.begin_unit("embedding");
        embedding.visit(v);
      },
      [](const Parameter&) {
        return ParameterStore::UpdateCost{1, true};
      });
  store.begin_step(stream);
  Frame frame(stream, build.num_slots);
  std::vector<int> microbatch(kUses, 0);
  for (int use : order) {
    const Tensor ids = frame.take(DType::i32, {kTokens}), dx = frame.take(DType::f32, {kTokens, kChannels});
    const uint64_t key = static_cast<uint64_t>(10 * use + microbatch[static_cast<size_t>(use)]++);
    std::vector<int32_t> tokens(kTokens);
    for (size_t t = 0; t < tokens.size(); ++t) tokens[t] = static_cast<int32_t>((t * (key + 3)) % 7);
    from_host(stream, ids, tokens.data());
    fill_normal(stream, {dx, key, 1, 0, 1});
    embedding.backward(frame, dx, ids, use);
  }
  store.start_reduce(stream, 0);
  store.wait_reduced(stream);
  return read_values(stream, embedding.table().grad);
}

TEST(SharedParameters, SumTheirUsesInOneOrderWhateverOrderTheyRunIn) {
  const auto expected = gradient_of_table({0, 1, 2, 0, 1, 2, 0, 1, 2});
  EXPECT_EQ(gradient_of_table({2, 1, 0, 2, 1, 0, 2, 1, 0}), expected);
  EXPECT_EQ(gradient_of_table({2, 2, 2, 0, 0, 0, 1, 1, 1}), expected);
  EXPECT_EQ(gradient_of_table({1, 0, 0, 1, 2, 0, 2, 1, 2}), expected);
}

}  // namespace
}  // namespace birkhoff::test
