// T tokens, O outputs and I inputs of the layer, E experts.
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/dispatch.h"
#include "kernels/elementwise/bias.h"
#include "kernels/elementwise/copy.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemms.h"
#include "kernels/gemm/grouped_gemm.h"
#include "kernels/gemm/grouped_tiles.h"
#include "kernels/gemm/shapes.h"
#include "kernels/gemm/working_copy.h"

namespace birkhoff {
namespace {

// The meta device packs too, so that bytes() counts what the cpu device would hold.
bool packs(const Stream& stream) {
  return stream.device.kind == DeviceKind::cpu || stream.device.kind == DeviceKind::meta;
}

// The weights [E, O, I], packed for one direction: as [I, O] matrices for forward, as [O, I] for backward_input.
class PackedWeights {
 public:
  PackedWeights(cpu::Packing packing, int64_t num) : packing_(packing), num_(num) {}

  cpu::PackedGroups refresh(Stream& stream, const Weight& w) {
    const size_t each = cpu::packed_bytes(packing_.to, packing_.K, packing_.N);
    const size_t stride = (each + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
    const std::byte* packed = copy_.refresh(stream, w, stride * static_cast<size_t>(num_), [&](std::byte* copy) {
      for (int64_t e = 0; e < num_; ++e) {
        cpu::pack(packing_, copy + static_cast<size_t>(e) * stride, w.value.f32() + e * packing_.K * packing_.N);
      }
    });
    return {packed, stride};
  }
  size_t bytes() const { return copy_.bytes(); }

 private:
  cpu::Packing packing_;
  int64_t num_;
  WorkingCopy copy_;
};

// The weights in a product's dtype: the master weights themselves if they have that dtype, otherwise a rounded copy.
class CastWeights {
 public:
  Tensor refresh(Stream& stream, const Weight& w, DType dtype) {
    if (w.value.dtype == dtype || stream.device.kind == DeviceKind::reference) return w.value;
    Tensor cast{nullptr, dtype, w.value.shape};
    cast.data = copy_.refresh(stream, w, cast.bytes(), [&](std::byte* copied) {
      cast.data = copied;
      copy(stream, cast, w.value);
    });
    return cast;
  }
  size_t bytes() const { return copy_.bytes(); }

 private:
  WorkingCopy copy_;
};

// The three forms of the weights [E, O, I] (E = 1: one linear layer) in one dtype.
struct Weights {
  Weights(DType dtype, Shape shape)
      : dtype(dtype),
        shape(shape),
        forward({shape[2], shape[1], DType::f32, dtype, /*transposed=*/true}, shape[0]),
        backward({shape[1], shape[2], DType::f32, dtype}, shape[0]) {}
  size_t bytes() const { return forward.bytes() + backward.bytes() + cast.bytes(); }

  void check(std::string_view op, Tensor outer, Tensor inner, const Weight& w) const {
    check_linear_shapes(op, outer, inner, shape);
    BK_CHECK(w.value.count() == shape.count(), op, ": the weight is ", w.value.shape, ", expected ", shape);
    BK_CHECK(!w.bias.present() || w.bias.shape == Shape{shape[1]}, op, ": the bias is ", w.bias.shape, ", the weight ",
             shape);
  }

  DType dtype;
  Shape shape;
  PackedWeights forward, backward;
  CastWeights cast;
};

class NativeLinear : public LinearGemms {
 public:
  NativeLinear(DType dtype, int64_t O, int64_t I) : weights_(dtype, {1, O, I}) {}

  void forward(Stream& stream, Tensor y, Tensor x, const Weight& w) override {
    weights_.check("linear", y, x, w);
    if (packs(stream)) return multiply(stream, y, x, weights_.forward.refresh(stream, w), w.bias);
    gemm(stream, {.c = y, .a = x, .b = weights_.cast.refresh(stream, w, weights_.dtype), .transpose_b = true});
    if (w.bias.present()) add_bias(stream, {y, w.bias});
  }

  void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w) override {
    weights_.check("linear_backward_input", dy, dx, w);
    if (packs(stream)) return multiply(stream, dx, dy, weights_.backward.refresh(stream, w), {});
    gemm(stream, {.c = dx, .a = dy, .b = weights_.cast.refresh(stream, w, weights_.dtype)});
  }

  void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x) override {
    check_linear_shapes("linear_backward_weight", dy, x, weights_.shape);
    gemm(stream, {.c = dw, .a = dy, .b = x, .transpose_a = true, .accumulate = true});
  }

  size_t bytes() const override { return weights_.bytes(); }

 private:
  void multiply(Stream& stream, Tensor c, Tensor a, cpu::PackedGroups b, Tensor bias) {
    const int64_t M = a.shape.rows(), N = c.shape.back(), K = a.shape.back();
    check_gemm_types("linear", {c.dtype, a.dtype, weights_.dtype}, false);
    OpScope scope(stream, "gemm");
    stream.count_flops(2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K));
    if (stream.device.kind == DeviceKind::meta || M == 0) return;
    cpu::matmul_rows({M, N, K, a.dtype, c.dtype}, {c.data, a.data, b.packed, bias.present() ? bias.f32() : nullptr});
  }

  Weights weights_;
};

class NativeGrouped : public GroupedGemms {
 public:
  NativeGrouped(DType dtype, Shape shape) : weights_(dtype, shape) {}

  void forward(Stream& stream, Tensor y, Tensor x, const Weight& w, Tensor offsets) override {
    weights_.check("grouped_linear", y, x, w);
    if (packs(stream)) return multiply(stream, y, x, weights_.forward.refresh(stream, w), offsets);
    grouped_gemm(stream, {y, x, weights_.cast.refresh(stream, w, weights_.dtype), offsets});
  }

  void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w, Tensor offsets) override {
    weights_.check("grouped_linear_backward_input", dy, dx, w);
    if (packs(stream)) return multiply(stream, dx, dy, weights_.backward.refresh(stream, w), offsets);
    grouped_gemm_backward_input(stream, {dx, dy, weights_.cast.refresh(stream, w, weights_.dtype), offsets});
  }

  void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x, Tensor offsets) override {
    check_linear_shapes("grouped_linear_backward_weight", dy, x, weights_.shape);
    grouped_gemm_backward_weight(stream, {dw.view(weights_.shape), dy, x, offsets});
  }

  size_t bytes() const override { return weights_.bytes(); }

 private:
  void multiply(Stream& stream, Tensor c, Tensor a, cpu::PackedGroups b, Tensor offsets) {
    const int64_t R = a.shape.rows(), N = c.shape.back(), K = a.shape.back();
    check_gemm_types("grouped_linear", {c.dtype, a.dtype, weights_.dtype}, false);
    BK_CHECK(offsets.shape == Shape{weights_.shape[0] + 1} && offsets.dtype == DType::i64,
             "grouped_linear: offsets are ", offsets.dtype, offsets.shape, ", expected i64[", weights_.shape[0] + 1,
             "]");
    OpScope scope(stream, "grouped_gemm");
    stream.count_flops(2.0 * static_cast<double>(R) * static_cast<double>(N) * static_cast<double>(K));
    if (stream.device.kind == DeviceKind::meta) return;
    cpu::matmul_groups({0, N, K, a.dtype, c.dtype}, cpu::groups_of(offsets, R), c.data, a.data, b);
  }

  Weights weights_;
};

// A tensor as f32: itself, or a widened copy in scratch memory, which can be written back.
class Widened {
 public:
  Widened(Stream& stream, Tensor tensor)
      : narrow_(tensor),
        copies_(tensor.dtype == DType::bf16 && stream.device.kind == DeviceKind::cpu),
        memory_(copies_ ? tensor.count() : 0) {
    if (tensor.dtype == DType::bf16)
      wide_ = {copies_ ? memory_.data() : nullptr, DType::f32, tensor.shape};
    else
      wide_ = tensor;
  }
  Tensor read(Stream& stream) {
    if (copies_) copy(stream, wide_, narrow_);
    return wide_;
  }
  Tensor target() const { return wide_; }
  void write_back(Stream& stream) {
    if (copies_) copy(stream, narrow_, wide_);
  }

 private:
  Tensor narrow_, wide_;
  bool copies_;
  Scratch<float> memory_;
};

class ExactLinear : public LinearGemms {
 public:
  ExactLinear(int64_t O, int64_t I) : inner_(DType::f32, O, I) {}

  void forward(Stream& stream, Tensor y, Tensor x, const Weight& w) override {
    Widened in(stream, x), out(stream, y);
    inner_.forward(stream, out.target(), in.read(stream), w);
    out.write_back(stream);
  }
  void backward_input(Stream& stream, Tensor dx, Tensor dy, const Weight& w) override {
    Widened in(stream, dy), out(stream, dx);
    inner_.backward_input(stream, out.target(), in.read(stream), w);
    out.write_back(stream);
  }
  void backward_weight(Stream& stream, Tensor dw, Tensor dy, Tensor x) override {
    Widened left(stream, dy), right(stream, x);
    inner_.backward_weight(stream, dw, left.read(stream), right.read(stream));
  }
  size_t bytes() const override { return inner_.bytes(); }

 private:
  NativeLinear inner_;
};

}  // namespace

std::unique_ptr<LinearGemms> make_native_linear(DType dtype, int64_t O, int64_t I) {
  return std::make_unique<NativeLinear>(dtype, O, I);
}
std::unique_ptr<GroupedGemms> make_native_grouped(DType dtype, int64_t E, int64_t O, int64_t I) {
  return std::make_unique<NativeGrouped>(dtype, Shape{E, O, I});
}
std::unique_ptr<LinearGemms> make_exact_linear(int64_t O, int64_t I) { return std::make_unique<ExactLinear>(O, I); }

}  // namespace birkhoff
