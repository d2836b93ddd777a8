#include "trainer/step/build.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/config/reader.h"

namespace birkhoff::test {
namespace {

ModelOptions options_of(const std::string& yaml) {
  const Config config = parse_config(yaml).config;
  if (config.model.engram.layers.empty()) return model_options(config, 100, nullptr);
  const EngramHash hash(engram_hash_spec(config, 50, 0));
  return model_options(config, 100, &hash);
}

TEST(Build, EngramSettingsReachTheModelAndTheHash) {
  const std::string yaml =
      "model:\n  norm_eps: 1e-5\n  engram:\n    {layers: [1], orders: [2, 4], rows_per_head: [90, 200], num_heads: 3,"
      " bias: true, gate: {root: false, clamp: 1e-3}, conv: true, conv_kernel: 2, conv_eps: 1e-2, head_dim: 16}\n";
  const EngramHashSpec spec = engram_hash_spec(parse_config(yaml).config, 50, 7);
  EXPECT_EQ(spec.orders, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(spec.bases, (std::vector<int64_t>{90, 200}));
  EXPECT_EQ(spec.pad, 7);
  const ModelOptions m = options_of(yaml);
  const EngramOptions& o = m.decoder.engram;
  EXPECT_EQ(o.rows_per_token(), 6);
  EXPECT_TRUE(o.bias);
  EXPECT_FALSE(o.gate.root);
  EXPECT_EQ(o.gate.clamp, 1e-3);
  EXPECT_EQ(o.conv_kernel, 2);
  EXPECT_EQ(o.conv_dilation, 4);
  EXPECT_EQ(o.conv_eps, 1e-2);
  ASSERT_EQ(m.table_rows.size(), 1u);
  EXPECT_EQ(m.table_rows[0], 97 + 101 + 103 + 211 + 223 + 227);  // the primes from 90 and from 200 on
}

TEST(Build, OneNumberOfRowsHoldsForEveryOrder) {
  const Config c = parse_config("model: {engram: {layers: [1], orders: [2, 3, 5], rows_per_head: 60}}\n").config;
  EXPECT_EQ(engram_hash_spec(c, 50, 0).bases, (std::vector<int64_t>{60, 60, 60}));
  EXPECT_EQ(options_of("model: {engram: {layers: [1], conv_dilation: 2}}\n").decoder.engram.conv_dilation, 2);
}

TEST(Build, TheNormsOfAScoreMayHaveAnEpsOfTheirOwn) {
  const ModelOptions m = options_of("model: {norm_eps: 1e-5, engram: {layers: [1], gate: {eps: 1e-20}}}\n");
  EXPECT_EQ(m.decoder.engram.gate.eps, 1e-20);
  EXPECT_EQ(m.decoder.norm.eps, 1e-5);
}

TEST(Build, EveryChoiceOfTheModelReachesIt) {
  const ModelOptions m = options_of(
      "model: {z_loss: 1e-4, init_std: 0.03, embedding_init_std: 0.5, output_init_scale: 0.25, ffn: {clamp: 7},"
      " moe: {num_experts: 4, gate_position: inner}, residual: {type: mhc, post_factor: 1.5}}\n"
      "precision: {recipe: fp8_block, fp8_scale: ue8m0}\n");
  EXPECT_EQ(m.decoder.z_loss, 1e-4);
  EXPECT_EQ(m.decoder.init.std, 0.03);
  EXPECT_EQ(m.decoder.init.embedding_std(), 0.5);
  EXPECT_EQ(m.decoder.init.output_scale, 0.25);
  EXPECT_EQ(m.decoder.ffn.clamp, 7);
  EXPECT_EQ(m.decoder.moe.gate_position, GatePosition::inner);
  EXPECT_EQ(m.decoder.residual.post_factor, 1.5);
  EXPECT_EQ(m.recipe, Recipe::fp8_block);
  EXPECT_EQ(m.fp8_scale, ScaleFormat::ue8m0);
}

TEST(Build, TheEmbeddingHasTheCommonInitialSpreadByDefault) {
  EXPECT_EQ(options_of("model: {init_std: 0.03}\n").decoder.init.embedding_std(), 0.03);
}

TEST(Build, InitialWeightsHaveTheSpreadOfTheSettings) {
  const auto world = make_thread_world(1);
  const Mesh mesh(*world[0], {});
  Model model = make_model({}, mesh,
                           options_of("model: {hidden_size: 64, num_layers: 2, ffn: {size: 96}, init_std: 0.04,"
                                      " embedding_init_std: 0.2, output_init_scale: 0.5, moe: {num_experts: 2,"
                                      " first_dense_layers: 1, expert_size: 48}, attention: {num_heads: 4}}\n"));
  Stream stream;
  model.initialize(stream, 1);
  std::map<std::string, double> spread;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    double squares = 0;
    for (const double v : read_values(stream, e.parameter->value)) squares += v * v;
    spread[e.parameter->name] = std::sqrt(squares / static_cast<double>(e.parameter->shape.count()));
  }
  const auto expect = [&](const std::string& name, double std) {
    ASSERT_EQ(spread.count(name), 1u) << name;
    EXPECT_NEAR(spread[name], std, 0.05 * std) << name;
  };
  expect("embedding.weight", 0.2);
  expect("head.weight", 0.04);
  expect("layers.0.attention.q.weight", 0.04);
  expect("layers.0.attention.out.weight", 0.02);
  expect("layers.0.ffn.up.weight", 0.04);
  expect("layers.0.ffn.down.weight", 0.02);
  expect("layers.1.ffn.experts.up", 0.04);
  expect("layers.1.ffn.experts.down", 0.02);
  expect("layers.1.ffn.shared.down.weight", 0.02);
}

}  // namespace
}  // namespace birkhoff::test
