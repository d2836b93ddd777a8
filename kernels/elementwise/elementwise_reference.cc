#include <cstring>

#include "kernels/elementwise/add.h"
#include "kernels/elementwise/bias.h"
#include "kernels/elementwise/split_columns.h"

namespace birkhoff::reference {

void add(const AddArgs& a) {
  for (int64_t i = 0; i < a.y.count(); ++i) {
    a.y.as<double>()[i] = a.alpha * a.a.as<double>()[i] + a.beta * a.b.as<double>()[i];
  }
}

void scale(const ScaleArgs& a) {
  const double factor = a.alpha * (a.factor.present() ? *a.factor.as<double>() : 1);
  for (int64_t i = 0; i < a.y.count(); ++i) a.y.as<double>()[i] = factor * a.x.as<double>()[i];
}

void add_bias(const AddBiasArgs& a) {
  const int64_t C = a.y.shape.back();
  for (int64_t i = 0; i < a.y.count(); ++i) a.y.as<double>()[i] += a.bias.as<double>()[i % C];
}

void bias_gradient(const BiasGradientArgs& a) {
  const int64_t C = a.dy.shape.back();
  for (int64_t i = 0; i < a.dy.count(); ++i) a.dbias.as<double>()[i % C] += a.dy.as<double>()[i];
}

namespace {

// Element c of row t, whatever the type.
std::byte* element(Tensor x, int64_t t, int64_t c) {
  return static_cast<std::byte*>(x.data) + (t * x.shape.back() + c) * static_cast<int64_t>(size_of(x.dtype));
}

// Calls body(element of x, the corresponding element of left or right).
template <class Body>
void for_each_element(Tensor left, Tensor right, Tensor x, Body body) {
  const int64_t A = left.shape.back();
  for (int64_t t = 0; t < x.shape.rows(); ++t) {
    for (int64_t c = 0; c < x.shape.back(); ++c) {
      body(element(x, t, c), c < A ? element(left, t, c) : element(right, t, c - A));
    }
  }
}

}  // namespace

void split_columns(const SplitColumnsArgs& a) {
  for_each_element(a.left, a.right, a.x,
                   [&](std::byte* whole, std::byte* part) { std::memcpy(part, whole, size_of(a.x.dtype)); });
}

void concat_columns(const ConcatColumnsArgs& a) {
  for_each_element(a.left, a.right, a.x,
                   [&](std::byte* whole, std::byte* part) { std::memcpy(whole, part, size_of(a.x.dtype)); });
}

}  // namespace birkhoff::reference
