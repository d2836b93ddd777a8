// Compares whole Engram modules, from row ids to streams and back, with vectors that other programs computed.
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "kernels/engram/conv.h"
#include "kernels/engram/fp8_rows.h"
#include "kernels/engram/gate.h"
#include "kernels/engram/rows.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

using nlohmann::json;

class EngramModuleVectors : public testing::TestWithParam<DeviceKind> {
 protected:
  Stream stream{Device{GetParam()}, nullptr, nullptr};
  Arena arena{stream.device};

  double limit() const { return GetParam() == DeviceKind::reference ? kVectorBound : 16 * bound(DType::f32, 200); }
  Tensor take(Shape shape) {
    const Tensor tensor = arena.take(DType::f32, shape);
    set_values(tensor, std::vector<double>(static_cast<size_t>(shape.count()), 0.0));
    return tensor;
  }
  Tensor load(const json& nested, Shape shape, DType dtype = DType::f32) {
    return tensor_of(arena, nested, dtype).view(shape);
  }
  void expect(Tensor actual, const json& expected, const std::string& what) {
    expect_vector(actual, expected, limit(), what);
  }
};

class EngramConvModuleVectors : public EngramModuleVectors {};
class EngramFp8ModuleVectors : public EngramModuleVectors {};
INSTANTIATE_TEST_SUITE_P(Devices, EngramConvModuleVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));
INSTANTIATE_TEST_SUITE_P(Devices, EngramFp8ModuleVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

// y [T,N] = x [T,M] w [N,M]^T, and its gradients, in f64 on the host.
std::vector<double> product(const std::vector<double>& x, const std::vector<double>& w, size_t M) {
  const size_t N = w.size() / M;
  std::vector<double> y(x.size() / M * N);
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t m = 0; m < M; ++m) y[i] += x[i / N * M + m] * w[i % N * M + m];
  }
  return y;
}
std::vector<double> transposed(const std::vector<double>& x, size_t columns) {
  std::vector<double> out(x.size());
  const size_t rows = x.size() / columns;
  for (size_t i = 0; i < x.size(); ++i) out[i % columns * rows + i / columns] = x[i];
  return out;
}
std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}
std::vector<double> concatenated(std::vector<double> a, const std::vector<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_P(EngramConvModuleVectors, MatchTheOriginalWithItsConvolution) {
  for_each_vector("engram_conv_module", [&](const json& v) {
    const int64_t B = v.value("B", 1), length = v.at("T"), T = B * length, M = v.at("M"), d = v.at("d");
    const int64_t D = v.at("head_dim"), K = v.at("rows").at(0).at(0).size(), U = v.at("table").size();
    EXPECT_EQ(K, (v.at("max_ngram").get<int64_t>() - 1) * v.at("heads").get<int64_t>());
    const size_t width = static_cast<size_t>(K * D), channels = static_cast<size_t>((M + 1) * d);
    const EngramGateOptions options{v.at("eps_norm"), v.value("clamp", 1e-6f)};
    const int dilation = v.at("dilation");
    const Tensor table = load(v.at("table"), {U, D}), index = load(v.at("rows"), {T, K}, DType::i32),
                 h = load(v.at("H"), {T, M, d});
    const Tensor w_h = load(v.at("w_h"), {M, d}), w_k = load(v.at("w_k"), {M, d}),
                 gain = load(v.at("w_conv_norm"), {M, d});
    const Tensor weight = load(v.at("conv_w"), {M, d, v.at("kernel")});
    const Tensor start = arena.take(DType::i32, {T});
    std::vector<double> starts(static_cast<size_t>(T));
    for (size_t t = 0; t < starts.size(); ++t)
      starts[t] = static_cast<double>(t / static_cast<size_t>(length) * static_cast<size_t>(length));
    set_values(start, starts);
    const std::vector<double> W = concatenated(flatten(v.at("W_k")), flatten(v.at("W_v")));

    const Tensor e = take({T, K * D}), kv = take({T, (M + 1) * d}), out = take({T, M, d}), value = take({T, M, d});
    const Tensor gate = take({T, M}), score = take({T, M}), rstd_h = take({T, M}), rstd_k = take({T, M});
    const Tensor conv_rstd = take({T, M});
    engram_gather_forward(stream, {e, table, index});
    set_values(kv, product(values_of(e), W, width));
    engram_gate_forward(stream, {.out = out,
                                 .gate = gate,
                                 .score = score,
                                 .rstd_h = rstd_h,
                                 .rstd_k = rstd_k,
                                 .value = value,
                                 .h = h,
                                 .kv = kv,
                                 .w_h = w_h,
                                 .w_k = w_k,
                                 .mask = {},
                                 .options = options});
    engram_conv_forward(stream, {.out = out,
                                 .rstd = conv_rstd,
                                 .x = value,
                                 .gain = gain,
                                 .weight = weight,
                                 .document_start = start,
                                 .dilation = dilation,
                                 .eps = v.at("eps_conv_norm")});
    expect(gate, v.at("gate"), "gate");
    expect(value, v.at("value"), "value");
    expect(out, v.at("out"), "out");
    const Tensor branch = take(out.shape);
    set_values(branch, minus(minus(values_of(out), values_of(h)), values_of(value)));
    expect(branch, v.at("conv_branch"), "conv_branch");

    const Tensor dout = load(v.at("grad_out"), {T, M, d}), dvalue = take({T, M, d}), dh = take({T, M, d});
    const Tensor dkv = take(kv.shape), dw_h = take({M, d}), dw_k = take({M, d}), dgain = take({M, d});
    const Tensor dweight = take(weight.shape), de = take(e.shape), dtable = take(table.shape);
    engram_conv_backward(stream, {.dx = dvalue,
                                  .dgain = dgain,
                                  .dweight = dweight,
                                  .dout = dout,
                                  .x = value,
                                  .gain = gain,
                                  .weight = weight,
                                  .rstd = conv_rstd,
                                  .document_start = start,
                                  .dilation = dilation});
    engram_gate_backward(stream, {.dh = dh,
                                  .dkv = dkv,
                                  .dw_h = dw_h,
                                  .dw_k = dw_k,
                                  .dout = dout,
                                  .dvalue = dvalue,
                                  .h = h,
                                  .kv = kv,
                                  .w_h = w_h,
                                  .w_k = w_k,
                                  .gate = gate,
                                  .score = score,
                                  .rstd_h = rstd_h,
                                  .rstd_k = rstd_k,
                                  .options = options});
    set_values(de, product(values_of(dkv), transposed(W, width), channels));
    engram_gather_backward(stream, {dtable, de, index});
    expect(dh, v.at("grad_H"), "dh");
    expect(dw_h, v.at("grad_w_h"), "dw_h");
    expect(dw_k, v.at("grad_w_k"), "dw_k");
    expect(dgain, v.at("grad_w_conv_norm"), "dgain");
    expect(dweight, v.at("grad_conv_w"), "dweight");
    expect(dtable, v.at("grad_table"), "dtable");
    const Tensor dW = take({(M + 1) * d, K * D});
    set_values(dW,
               product(transposed(values_of(dkv), channels), transposed(values_of(e), width), static_cast<size_t>(T)));
    expect(dW, concatenated(flatten(v.at("grad_W_k")), flatten(v.at("grad_W_v"))), "dW");
  });
}

TEST_P(EngramFp8ModuleVectors, MatchTheReleasedFormWithFp8Rows) {
  for_each_vector_file("engram_fp8_module", [&](const json& v) {
    const Tensor bytes = tensor_of(arena, v.at("table_bytes"), DType::u8),
                 scales = tensor_of(arena, v.at("scale_bytes"), DType::u8);
    const Tensor index = tensor_of(arena, v.at("rows"), DType::i32), h = tensor_of(arena, v.at("h"));
    const int64_t T = h.shape[0], M = h.shape[1], d = h.shape[2], D = bytes.shape[1], K = index.shape[1];
    const Tensor table = take(bytes.shape), e = take({T, K * D}), kv = take({T, (M + 1) * d}), out = take(h.shape);
    const Tensor gate = take({T, M}), score = take({T, M}), rstd_h = take({T, M}), rstd_k = take({T, M});
    fp8_rows_decode(stream, {table, bytes, scales});
    engram_gather_forward(stream, {e, table, index});
    set_values(kv, product(values_of(e), flatten(v.at("W_kv")), static_cast<size_t>(K * D)));
    engram_gate_forward(stream, {.out = out,
                                 .gate = gate,
                                 .score = score,
                                 .rstd_h = rstd_h,
                                 .rstd_k = rstd_k,
                                 .value = {},
                                 .h = h,
                                 .kv = kv,
                                 .w_h = tensor_of(arena, v.at("q_weight")),
                                 .w_k = tensor_of(arena, v.at("k_weight")),
                                 .mask = tensor_of(arena, v.at("token_mask"), DType::u8),
                                 .options = {v.value("eps", 1e-20f), v.value("clamp", 1e-6f)}});
    std::vector<double> expected_kv;
    for (size_t t = 0; t < v.at("value").size(); ++t) {
      expected_kv = concatenated(concatenated(expected_kv, flatten(v.at("key")[t])), flatten(v.at("value")[t]));
    }
    expect(kv, expected_kv, "kv");
    expect(gate, v.at("gate"), "gate");
    expect(out, v.at("out"), "out");
  });
}

TEST_P(EngramFp8ModuleVectors, MatchTheDecodingOfEveryByte) {
  for_each_vector_file("engram_fp8_module", [&](const json& v) {
    if (!v.contains("e4m3_decode")) return;
    std::vector<double> bytes(256);
    std::iota(bytes.begin(), bytes.end(), 0.0);
    const Tensor all = arena.take(DType::u8, {1, 256}), scale = arena.take(DType::u8, {1, 1}), rows = take({1, 256});
    set_values(all, bytes);
    set_values(scale, {127});
    fp8_rows_decode(stream, {rows, all, scale});
    const auto decoded = values_of(rows);
    for (size_t b = 0; b < 256; ++b) {
      const json& expected = v.at("e4m3_decode").at(b);
      if (expected.is_number()) {
        EXPECT_EQ(decoded[b], expected.get<double>()) << b;
      } else {
        EXPECT_TRUE(std::isnan(decoded[b])) << b;
      }
    }
  });
}

}  // namespace
}  // namespace birkhoff::test
