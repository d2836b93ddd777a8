#include "kernels/engram/fp8_rows.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase decode_case(std::vector<int64_t> bytes, std::vector<int64_t> scales, Shape rows, Shape blocks) {
  OpCase c;
  c.index("bytes", std::move(bytes), DType::u8, rows).index("scales", std::move(scales), DType::u8, blocks);
  c.output("rows", rows);
  c.forward([](Stream& s, const Tensors& t) { fp8_rows_decode(s, {t["rows"], t["bytes"], t["scales"]}); });
  return c;
}

TEST(Fp8Rows, CpuEqualsReferenceForEveryNumber) {
  std::vector<int64_t> bytes, scales;
  for (int64_t b = 0; b < 256; ++b) bytes.push_back((b & 0x7f) == 0x7f ? 0 : b);
  for (int64_t s = 0; s < 8; ++s) scales.push_back(124 + s);
  decode_case(bytes, scales, {4, 64}, {4, 2}).expect_cpu_equals_reference(1);
  decode_case({}, {}, {0, 64}, {0, 2}).expect_cpu_equals_reference(1);
}

TEST(Fp8Rows, DecodesTheExtremes) {
  const auto rows = decode_case({0x7e, 0xfe, 0x01, 0x80}, {127}, {1, 4}, {1, 1}).result(Device{}, DType::f32, "rows");
  EXPECT_EQ(rows, (std::vector<double>{448, -448, 0x1p-9, 0}));
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    EXPECT_TRUE(std::isnan(decode_case({0x7f}, {127}, {1, 1}, {1, 1}).result(Device{kind}, DType::f32, "rows")[0]));
    EXPECT_TRUE(std::isnan(decode_case({0x38}, {255}, {1, 1}, {1, 1}).result(Device{kind}, DType::f32, "rows")[0]));
  }
}

TEST(Fp8Rows, RefusesBlocksThatDoNotDivide) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor bytes = arena.take(DType::u8, {2, 64}), scales = arena.take(DType::u8, {2, 3});
  EXPECT_THROW(fp8_rows_decode(stream, {arena.take(DType::f32, {2, 64}), bytes, scales}), UserError);
}

}  // namespace
}  // namespace birkhoff::test
