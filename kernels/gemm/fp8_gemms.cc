// T tokens, O outputs and I inputs of the layer, E experts.
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/dispatch.h"
#include "kernels/elementwise/bias.h"
#include "kernels/gemm/fp8_gemm.h"
#include "kernels/gemm/gemms.h"
#include "kernels/gemm/grouped_tiles.h"
#include "kernels/gemm/shapes.h"
#include "kernels/gemm/working_copy.h"

namespace birkhoff {
namespace {

using cpu::fp8_blocks;
using cpu::Fp8Gemm;
using cpu::Fp8Left;
using cpu::Fp8Right;

size_t packed_bytes(int64_t K, int64_t N) { return static_cast<size_t>(fp8_blocks(K)) * cpu::fp8_packed_stride(N); }
size_t scale_bytes(int64_t K, int64_t N) { return static_cast<size_t>(fp8_blocks(K) * N) * sizeof(float); }
size_t operand_bytes(int64_t K, int64_t N) {
  const size_t bytes = packed_bytes(K, N) + scale_bytes(K, N);
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}
Fp8Right operand_at(std::byte* memory, int64_t K, int64_t N) {
  return {memory, reinterpret_cast<float*>(memory + packed_bytes(K, N))};
}

// Rows [row, row + num) of an activation.
cpu::Fp8Source source(Tensor x, int64_t row, int64_t num) {
  return {x.as<bfloat16>() + row * x.shape.back(), num, x.shape.back()};
}

Tensor part_of(Tensor x, int64_t row, int64_t num) { return x.view({x.shape.rows(), x.shape.back()}).rows(row, num); }

// c = x b, with x quantized along its rows.
void multiply_rows(Tensor c, const cpu::Fp8Source& rows, const Fp8Right& b, ScaleFormat format) {
  if (rows.rows == 0) return;
  Scratch<bfloat16> codes(rows.rows * rows.columns);
  Scratch<float> scales(fp8_blocks(rows.columns) * rows.rows);
  const Fp8Left left{codes.data(), scales.data()};
  cpu::fp8_left_of_rows(left, rows, format);
  cpu::fp8_gemm({rows.rows, c.shape.back(), rows.columns, c.dtype}, c.data, left, b);
}

// dw += dy^T x over the given rows, with both operands quantized along the rows.
void accumulate_weight(float* dw, const cpu::Fp8Source& dy, const cpu::Fp8Source& x, ScaleFormat format) {
  if (x.rows == 0) return;
  const int64_t blocks = fp8_blocks(x.rows);
  Scratch<bfloat16> left_codes(x.rows * dy.columns);
  Scratch<float> left_scales(blocks * dy.columns);
  Scratch<std::byte> right(static_cast<int64_t>(operand_bytes(x.rows, x.columns)));
  const Fp8Left a{left_codes.data(), left_scales.data()};
  const Fp8Right b = operand_at(right.data(), x.rows, x.columns);
  cpu::fp8_left_of_columns(a, dy, format);
  cpu::fp8_right_of_columns(b, x, format);
  cpu::fp8_gemm({dy.columns, x.columns, x.rows, DType::f32, /*accumulate=*/true}, dw, a, b);
}

// The weights [E, O, I], quantized for both directions, and the three products of each expert's rows. `offsets` is
// absent for a single weight, which owns all rows.
class Fp8Products {
 public:
  Fp8Products(Shape shape, ScaleFormat scales) : E_(shape[0]), O_(shape[1]), I_(shape[2]), scales_(scales) {}

  void forward(Stream& stream, Tensor y, Tensor x, const Weight& w, Tensor offsets) {
    check("fp8_linear", y, x, w, offsets);
    std::byte* memory = refresh(stream, forward_, w, operand_bytes(I_, O_), [&](std::byte* out, const float* value) {
      cpu::fp8_right_of_weight_transposed(operand_at(out, I_, O_), {value, O_, I_}, scales_);
    });
    run(stream, "fp8_gemm", x, offsets, [&](int64_t e, int64_t row, int64_t num) {
      multiply_rows(part_of(y, row, num), source(x, row, num), operand_at(memory + e * operand_bytes(I_, O_), I_, O_),
                    scales_);
    });
  }

  void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w, Tensor offsets) {
    check("fp8_linear_backward_input", dy, dx, w, offsets);
    std::byte* memory = refresh(stream, backward_, w, operand_bytes(O_, I_), [&](std::byte* out, const float* value) {
      cpu::fp8_right_of_weight(operand_at(out, O_, I_), {value, O_, I_}, scales_);
    });
    run(stream, "fp8_gemm", dy, offsets, [&](int64_t e, int64_t row, int64_t num) {
      multiply_rows(part_of(dx, row, num), source(dy, row, num), operand_at(memory + e * operand_bytes(O_, I_), O_, I_),
                    scales_);
    });
  }

  void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x, Tensor offsets) {
    check("fp8_linear_backward_weight", dy, x, {dw}, offsets);
    run(stream, "fp8_gemm", x, offsets, [&](int64_t e, int64_t row, int64_t num) {
      accumulate_weight(dw.f32() + e * O_ * I_, source(dy, row, num), source(x, row, num), scales_);
    });
  }

  size_t bytes() const { return forward_.bytes() + backward_.bytes(); }

 private:
  void check(std::string_view op, Tensor outer, Tensor inner, const Weight& w, Tensor offsets) const {
    check_linear_shapes(op, outer, inner, {O_, I_});
    BK_CHECK(!offsets.present() || (offsets.shape == Shape{E_ + 1} && offsets.dtype == DType::i64), op,
             ": offsets are ", offsets.dtype, offsets.shape, ", expected i64[", E_ + 1, "]");
    BK_CHECK(w.value.count() == E_ * O_ * I_, op, ": the weight is ", w.value.shape, ", expected [", E_, ", ", O_, ", ",
             I_, "]");
  }

  template <class Quantize>
  std::byte* refresh(Stream& stream, WorkingCopy& copy, const Weight& w, size_t each, Quantize quantize) {
    return copy.refresh(stream, w, each * static_cast<size_t>(E_), [&](std::byte* out) {
      for (int64_t e = 0; e < E_; ++e) quantize(out + static_cast<size_t>(e) * each, w.value.f32() + e * O_ * I_);
    });
  }

  // Calls body(expert, first row, rows) for each expert.
  template <class Body>
  void run(Stream& stream, std::string_view op, Tensor rows, Tensor offsets, Body body) {
    BK_CHECK(rows.dtype == DType::bf16, op, ": activations are ", rows.dtype, ", expected bf16");
    OpScope scope(stream, op);
    const int64_t T = rows.shape.rows();
    stream.count_flops(2.0 * static_cast<double>(T) * static_cast<double>(O_) * static_cast<double>(I_));
    if (stream.device.kind == DeviceKind::meta) return;
    if (!offsets.present()) return body(0, 0, T);
    const cpu::Groups groups = cpu::groups_of(offsets, T);
    for (int64_t e = 0; e < E_; ++e) body(e, groups.starts[e], groups.rows_of(e));
  }

  int64_t E_, O_, I_;
  ScaleFormat scales_;
  WorkingCopy forward_, backward_;
};

// Whether to compute exactly: on the reference device every recipe is exact. UserError on the cuda device.
bool exact(const Stream& stream, std::string_view op) {
  if (stream.device.kind == DeviceKind::cuda) throw_no_cuda_kernel(op);
  return stream.device.kind == DeviceKind::reference;
}

class Fp8Linear : public LinearGemms {
 public:
  Fp8Linear(int64_t O, int64_t I, ScaleFormat scales)
      : fp8_({1, O, I}, scales), exact_(make_native_linear(DType::bf16, O, I)) {}

  void forward(Stream& stream, Tensor y, Tensor x, const Weight& w) override {
    if (exact(stream, "fp8 linear")) return exact_->forward(stream, y, x, w);
    fp8_.forward(stream, y, x, w, {});
    if (w.bias.present()) add_bias(stream, {y, w.bias});
  }
  void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w) override {
    exact(stream, "fp8 linear") ? exact_->backward_input(stream, dx, dy, w)
                                : fp8_.backward_input(stream, dx, dy, w, {});
  }
  void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x) override {
    exact(stream, "fp8 linear") ? exact_->backward_weight(stream, dw, dy, x)
                                : fp8_.backward_weight(stream, dw, dy, x, {});
  }
  size_t bytes() const override { return fp8_.bytes(); }

 private:
  Fp8Products fp8_;
  std::unique_ptr<LinearGemms> exact_;
};

class Fp8Grouped : public GroupedGemms {
 public:
  Fp8Grouped(Shape shape, ScaleFormat scales)
      : fp8_(shape, scales), exact_(make_native_grouped(DType::bf16, shape[0], shape[1], shape[2])) {}

  void forward(Stream& stream, Tensor y, Tensor x, const Weight& w, Tensor offsets) override {
    exact(stream, "fp8 experts") ? exact_->forward(stream, y, x, w, offsets) : fp8_.forward(stream, y, x, w, offsets);
  }
  void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w, Tensor offsets) override {
    exact(stream, "fp8 experts") ? exact_->backward_input(stream, dx, dy, w, offsets)
                                 : fp8_.backward_input(stream, dx, dy, w, offsets);
  }
  void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x, Tensor offsets) override {
    exact(stream, "fp8 experts") ? exact_->backward_weight(stream, dw, dy, x, offsets)
                                 : fp8_.backward_weight(stream, dw, dy, x, offsets);
  }
  size_t bytes() const override { return fp8_.bytes(); }

 private:
  Fp8Products fp8_;
  std::unique_ptr<GroupedGemms> exact_;
};

}  // namespace

std::unique_ptr<LinearGemms> make_fp8_linear(int64_t O, int64_t I, ScaleFormat scales) {
  return std::make_unique<Fp8Linear>(O, I, scales);
}
std::unique_ptr<GroupedGemms> make_fp8_grouped(int64_t E, int64_t O, int64_t I, ScaleFormat scales) {
  return std::make_unique<Fp8Grouped>(Shape{E, O, I}, scales);
}

}  // namespace birkhoff
