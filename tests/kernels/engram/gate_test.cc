#include "kernels/engram/gate.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t T, S, C;
};

enum class Extra { none, mask_and_value };

constexpr EngramGateOptions kWithoutRoot{1e-6f, 1e-6f, false};

OpCase gate_case(Size n, Extra extra, EngramGateOptions options = {}) {
  const auto [T, S, C] = n;
  OpCase c;
  // These means keep every score, of either sign, away from 0, where the square root is too curved for finite
  // differences.
  const int64_t streams = S, channels = C;
  const Fill noise = normal(6, 0.5);
  c.activation("h", {T, S, C}, normal(5, 0.5, 1.5)).activation("kv", {T, (S + 1) * C}, [=](int64_t i) {
    return noise(i) + (i / channels % (streams + 1) % 2 == 0 ? 1.5 : -1.5);
  });
  // Without the root a score moves the gate further. These weights keep the gate away from 1, where 1 - gate loses
  // digits.
  const double mean = options.root ? 1 : 0.4;
  c.parameter("w_h", {S, C}, normal(3, 0.2, mean)).parameter("w_k", {S, C}, normal(4, 0.2, mean));
  c.output("out", {T, S, C});
  for (const char* name : {"gate", "score", "rstd_h", "rstd_k"}) c.statistic_output(name, {T, S});
  if (extra == Extra::mask_and_value) {
    c.output("value", {T, S, C});
    std::vector<int64_t> mask(static_cast<size_t>(T));
    for (size_t t = 0; t < mask.size(); ++t) mask[t] = t % 3 != 1;
    c.index("mask", mask, DType::u8, {T});
  }
  c.forward([=](Stream& s, const Tensors& t) {
    engram_gate_forward(s, {.out = t["out"],
                            .gate = t["gate"],
                            .score = t["score"],
                            .rstd_h = t["rstd_h"],
                            .rstd_k = t["rstd_k"],
                            .value = t["value"],
                            .h = t["h"],
                            .kv = t["kv"],
                            .w_h = t["w_h"],
                            .w_k = t["w_k"],
                            .mask = t["mask"],
                            .options = options});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    engram_gate_backward(s, {.dh = t["d_h"],
                             .dkv = t["d_kv"],
                             .dw_h = t["d_w_h"],
                             .dw_k = t["d_w_k"],
                             .dout = t["d_out"],
                             .dvalue = t["d_value"],
                             .h = t["h"],
                             .kv = t["kv"],
                             .w_h = t["w_h"],
                             .w_k = t["w_k"],
                             .gate = t["gate"],
                             .score = t["score"],
                             .rstd_h = t["rstd_h"],
                             .rstd_k = t["rstd_k"],
                             .options = options});
  });
  return c;
}

class EngramGate : public testing::TestWithParam<Size> {};

TEST_P(EngramGate, CpuEqualsReference) {
  const Size n = GetParam();
  // The square root magnifies the error of a small score.
  gate_case(n, Extra::none).expect_cpu_equals_reference(n.C + n.T, 8);
  gate_case(n, Extra::mask_and_value).expect_cpu_equals_reference(n.C + n.T, 8);
  gate_case(n, Extra::none, kWithoutRoot).expect_cpu_equals_reference(n.C + n.T);
  gate_case(n, Extra::mask_and_value, kWithoutRoot).expect_cpu_equals_reference(n.C + n.T);
}

TEST_P(EngramGate, BackwardMatchesFiniteDifferences) {
  const Size n = GetParam();
  gate_case(n, Extra::none).expect_gradients({"h", "kv", "w_h", "w_k"}, {"out"});
  gate_case(n, Extra::mask_and_value).expect_gradients({"h", "kv", "w_h", "w_k"}, {"out", "value"});
  gate_case(n, Extra::none, kWithoutRoot).expect_gradients({"h", "kv", "w_h", "w_k"}, {"out"});
  gate_case(n, Extra::mask_and_value, kWithoutRoot).expect_gradients({"h", "kv", "w_h", "w_k"}, {"out", "value"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, EngramGate,
                         testing::Values(Size{0, 4, 8}, Size{3, 1, 7}, Size{5, 4, 35}, Size{70, 2, 16}));

TEST(EngramGate, AMaskedTokenStaysAsItIs) {
  const OpCase c = gate_case({3, 2, 8}, Extra::mask_and_value);
  const auto out = c.result(Device{}, DType::f32, "out"), h = c.result(Device{}, DType::f32, "h");
  for (size_t i = 16; i < 32; ++i) EXPECT_EQ(out[i], h[i]);
  EXPECT_NE(out[0], h[0]);
}

// At a score of 0, where the root is clamped, the plain score still has its slope.
TEST(EngramGate, WithoutTheRootAScoreOfZeroHasAGateOfAHalfAndAGradient) {
  Stream stream{Device{DeviceKind::reference}, nullptr, nullptr};
  Arena arena{stream.device};
  auto filled = [&](Shape shape, std::vector<double> values) {
    const Tensor t = arena.take(DType::f32, shape);
    set_values(t, values);
    return t;
  };
  const Tensor h = filled({1, 1, 2}, {1, 1}), kv = filled({1, 4}, {1, -1, 3, 5}), w = filled({1, 2}, {1, 1});
  const Tensor out = filled({1, 1, 2}, {0, 0}), gate = filled({1, 1}, {0}), score = filled({1, 1}, {9});
  const Tensor rstd_h = filled({1, 1}, {0}), rstd_k = filled({1, 1}, {0});
  engram_gate_forward(stream, {.out = out,
                               .gate = gate,
                               .score = score,
                               .rstd_h = rstd_h,
                               .rstd_k = rstd_k,
                               .value = {},
                               .h = h,
                               .kv = kv,
                               .w_h = w,
                               .w_k = w,
                               .mask = {},
                               .options = kWithoutRoot});
  EXPECT_EQ(values_of(score)[0], 0);
  EXPECT_EQ(values_of(gate)[0], 0.5);
  const Tensor dout = filled({1, 1, 2}, {1, 1}), dh = filled({1, 1, 2}, {0, 0}), dkv = filled({1, 4}, {0, 0, 0, 0});
  const Tensor dw_h = filled({1, 2}, {0, 0}), dw_k = filled({1, 2}, {0, 0});
  engram_gate_backward(stream, {.dh = dh,
                                .dkv = dkv,
                                .dw_h = dw_h,
                                .dw_k = dw_k,
                                .dout = dout,
                                .dvalue = {},
                                .h = h,
                                .kv = kv,
                                .w_h = w,
                                .w_k = w,
                                .gate = gate,
                                .score = score,
                                .rstd_h = rstd_h,
                                .rstd_k = rstd_k,
                                .options = kWithoutRoot});
  // dL/dgate 8, slope of the sigmoid 1/4, d(score)/d(w_h[0]) = 1 / sqrt(2) up to eps.
  EXPECT_NEAR(values_of(dw_h)[0], 2 / std::sqrt(2.0), 1e-5);
  EXPECT_NEAR(values_of(dw_h)[1], -2 / std::sqrt(2.0), 1e-5);
}

TEST(EngramGate, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  const Tensor h = take({2, 2, 4}), w = take({2, 4}), s = take({2, 2});
  EXPECT_THROW(engram_gate_forward(stream, {.out = h,
                                            .gate = s,
                                            .score = s,
                                            .rstd_h = s,
                                            .rstd_k = s,
                                            .value = {},
                                            .h = h,
                                            .kv = take({2, 8}),
                                            .w_h = w,
                                            .w_k = w,
                                            .mask = {}}),
               UserError);
}

class EngramGateVectors : public testing::TestWithParam<DeviceKind> {};
INSTANTIATE_TEST_SUITE_P(Devices, EngramGateVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

// Joins the vector's separate k [T,M,d] and v [T,d] into rows key 0 | ... | key M-1 | v.
std::vector<double> joined(const nlohmann::json& k, const nlohmann::json& v) {
  std::vector<double> out;
  for (size_t t = 0; t < v.size(); ++t) {
    for (const auto& part : {flatten(k[t]), flatten(v[t])}) out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

TEST_P(EngramGateVectors, MatchForwardAndBackward) {
  Stream stream{Device{GetParam()}, nullptr, nullptr};
  const double limit = GetParam() == DeviceKind::reference ? kVectorBound : 4 * bound(DType::f32, 64);
  for_each_vector("engram_gate", [&](const nlohmann::json& v) {
    Arena arena{stream.device};
    auto take = [&](Shape shape) {
      const Tensor tensor = arena.take(DType::f32, shape);
      set_values(tensor, std::vector<double>(static_cast<size_t>(shape.count())));
      return tensor;
    };
    const int64_t T = v.at("T"), M = v.at("M"), d = v.at("d");
    const EngramGateOptions options{v.at("eps"), v.at("clamp")};
    const Tensor h = tensor_of(arena, v.at("h")), w_h = tensor_of(arena, v.at("w_h")),
                 w_k = tensor_of(arena, v.at("w_k"));
    const Tensor kv = take({T, (M + 1) * d}), out = take({T, M, d}), gate = take({T, M}), score = take({T, M});
    const Tensor rstd_h = take({T, M}), rstd_k = take({T, M});
    set_values(kv, joined(v.at("k"), v.at("v")));
    engram_gate_forward(stream, {.out = out,
                                 .gate = gate,
                                 .score = score,
                                 .rstd_h = rstd_h,
                                 .rstd_k = rstd_k,
                                 .value = {},
                                 .h = h,
                                 .kv = kv,
                                 .w_h = w_h,
                                 .w_k = w_k,
                                 .mask = {},
                                 .options = options});
    expect_vector(score, v.at("score"), limit, "score");
    expect_vector(gate, v.at("gate"), limit, "gate");
    expect_vector(out, v.at("out"), limit, "out");
    const Tensor dout = tensor_of(arena, v.at("grad_out")), dkv = take(kv.shape), dw_h = take({M, d}),
                 dw_k = take({M, d});
    const Tensor dh = take(h.shape);
    engram_gate_backward(stream, {.dh = dh,
                                  .dkv = dkv,
                                  .dw_h = dw_h,
                                  .dw_k = dw_k,
                                  .dout = dout,
                                  .dvalue = {},
                                  .h = h,
                                  .kv = kv,
                                  .w_h = w_h,
                                  .w_k = w_k,
                                  .gate = gate,
                                  .score = score,
                                  .rstd_h = rstd_h,
                                  .rstd_k = rstd_k,
                                  .options = options});
    expect_vector(dh, v.at("grad_h"), limit, "dh");
    expect_vector(dkv, joined(v.at("grad_k"), v.at("grad_v")), limit, "dkv");
    expect_vector(dw_h, v.at("grad_w_h"), limit, "dw_h");
    expect_vector(dw_k, v.at("grad_w_k"), limit, "dw_k");
  });
}

}  // namespace
}  // namespace birkhoff::test
