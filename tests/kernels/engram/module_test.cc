// Whole Engram modules, from row ids to streams and back, against vectors computed elsewhere.
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

INSTANTIATE_TEST_SUITE_P(Devices, EngramModuleVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

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
std::vector<double> concatenated(std::vector<double> a, const std::vector<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_P(EngramModuleVectors, MatchTheOriginalWithItsConvolution) {
  const json v = load_vectors("engram_conv_module.json")["case"];
  const int64_t T = v["T"], M = v["M"], d = v["d"], D = v["head_dim"], K = v["rows"][0][0].size(),
                U = v["table"].size();
  const size_t width = static_cast<size_t>(K * D), channels = static_cast<size_t>((M + 1) * d);
  const EngramGateOptions options{v["eps_norm"], 1e-6f};
  const int dilation = v["dilation"];
  const Tensor table = load(v["table"], {U, D}), index = load(v["rows"], {T, K}, DType::i32),
               h = load(v["H"], {T, M, d});
  const Tensor w_h = load(v["w_h"], {M, d}), w_k = load(v["w_k"], {M, d}), gain = load(v["w_conv_norm"], {M, d});
  const Tensor weight = load(v["conv_w"], {M, d, v["kernel"]});
  const Tensor start = arena.take(DType::i32, {T});
  set_values(start, std::vector<double>(static_cast<size_t>(T), 0.0));
  const std::vector<double> W = concatenated(flatten(v["W_k"]), flatten(v["W_v"]));

  const Tensor e = take({T, K * D}), kv = take({T, (M + 1) * d}), out = take({T, M, d}), value = take({T, M, d});
  const Tensor gate = take({T, M}), score = take({T, M}), rstd_h = take({T, M}), rstd_k = take({T, M});
  const Tensor conv_rstd = take({T, M});
  engram_gather_forward(stream, {e, table, index});
  set_values(kv, product(values_of(e), W, width));
  engram_gate_forward(stream, {out, gate, score, rstd_h, rstd_k, value, h, kv, w_h, w_k, {}, options});
  engram_conv_forward(stream, {out, conv_rstd, value, gain, weight, start, dilation, v["eps_conv_norm"]});
  expect(gate, v["gate"], "gate");
  expect(value, v["value"], "value");
  expect(out, v["out"], "out");

  const Tensor dout = load(v["grad_out"], {T, M, d}), dvalue = take({T, M, d}), dh = take({T, M, d});
  const Tensor dkv = take(kv.shape), dw_h = take({M, d}), dw_k = take({M, d}), dgain = take({M, d});
  const Tensor dweight = take(weight.shape), de = take(e.shape), dtable = take(table.shape);
  engram_conv_backward(stream, {dvalue, dgain, dweight, dout, value, gain, weight, conv_rstd, start, dilation});
  engram_gate_backward(stream,
                       {dh, dkv, dw_h, dw_k, dout, dvalue, h, kv, w_h, w_k, gate, score, rstd_h, rstd_k, options});
  set_values(de, product(values_of(dkv), transposed(W, width), channels));
  engram_gather_backward(stream, {dtable, de, index});
  expect(dh, v["grad_H"], "dh");
  expect(dw_h, v["grad_w_h"], "dw_h");
  expect(dw_k, v["grad_w_k"], "dw_k");
  expect(dgain, v["grad_w_conv_norm"], "dgain");
  expect(dweight, v["grad_conv_w"], "dweight");
  expect(dtable, v["grad_table"], "dtable");
  const Tensor dW = take({(M + 1) * d, K * D});
  set_values(dW,
             product(transposed(values_of(dkv), channels), transposed(values_of(e), width), static_cast<size_t>(T)));
  expect(dW, concatenated(flatten(v["grad_W_k"]), flatten(v["grad_W_v"])), "dW");
}

TEST_P(EngramModuleVectors, MatchTheReleasedFormWithFp8Rows) {
  const json v = load_vectors("engram_v41_module.json");
  const Tensor bytes = tensor_of(arena, v["table_bytes"], DType::u8),
               scales = tensor_of(arena, v["scale_bytes"], DType::u8);
  const Tensor index = tensor_of(arena, v["rows"], DType::i32), h = tensor_of(arena, v["h"]);
  const int64_t T = h.shape[0], M = h.shape[1], d = h.shape[2], D = bytes.shape[1], K = index.shape[1];
  const Tensor table = take(bytes.shape), e = take({T, K * D}), kv = take({T, (M + 1) * d}), out = take(h.shape);
  const Tensor gate = take({T, M}), score = take({T, M}), rstd_h = take({T, M}), rstd_k = take({T, M});
  fp8_rows_decode(stream, {table, bytes, scales});
  engram_gather_forward(stream, {e, table, index});
  set_values(kv, product(values_of(e), flatten(v["W_kv"]), static_cast<size_t>(K * D)));
  engram_gate_forward(stream, {out,
                               gate,
                               score,
                               rstd_h,
                               rstd_k,
                               {},
                               h,
                               kv,
                               tensor_of(arena, v["q_weight"]),
                               tensor_of(arena, v["k_weight"]),
                               tensor_of(arena, v["token_mask"], DType::u8),
                               {1e-20f, 1e-6f}});
  std::vector<double> expected_kv;
  for (size_t t = 0; t < v["value"].size(); ++t) {
    expected_kv = concatenated(concatenated(expected_kv, flatten(v["key"][t])), flatten(v["value"][t]));
  }
  expect(kv, expected_kv, "kv");
  expect(gate, v["gate"], "gate");
  expect(out, v["out"], "out");
}

TEST_P(EngramModuleVectors, MatchTheDecodingOfEveryByte) {
  const json v = load_vectors("engram_v41_module.json");
  std::vector<double> bytes, expected;
  for (size_t b = 0; b < 256; ++b) {
    if (!v["e4m3_decode"][b].is_number()) continue;  // the two NaN
    bytes.push_back(static_cast<double>(b));
    expected.push_back(v["e4m3_decode"][b]);
  }
  const int64_t count = static_cast<int64_t>(bytes.size());
  const Tensor all = arena.take(DType::u8, {1, count}), scale = arena.take(DType::u8, {1, 1}), rows = take({1, count});
  set_values(all, bytes);
  set_values(scale, {127});
  fp8_rows_decode(stream, {rows, all, scale});
  EXPECT_EQ(values_of(rows), expected);
}

}  // namespace
}  // namespace birkhoff::test
