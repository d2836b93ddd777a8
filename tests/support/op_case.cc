#include "tests/support/op_case.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <gtest/gtest.h>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {

Tensor Tensors::operator[](const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? Tensor{} : found->second;
}

Fill normal(uint64_t key, double std, double mean) {
  return [=](int64_t i) { return mean + std * Philox(17, key).normal(static_cast<uint64_t>(i)); };
}

Fill constant(double value) {
  return [=](int64_t) { return value; };
}

std::vector<double> values_of(Tensor t) {
  std::vector<double> out(static_cast<size_t>(t.count()));
  auto read = [&](auto* p) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(p[i]);
  };
  switch (t.dtype) {
    case DType::f32:
      read(t.as<float>());
      break;
    case DType::bf16:
      read(t.as<bfloat16>());
      break;
    case DType::f64:
      read(t.as<double>());
      break;
    case DType::i32:
      read(t.as<int32_t>());
      break;
    case DType::i64:
      read(t.as<int64_t>());
      break;
    case DType::u8:
      read(t.as<uint8_t>());
      break;
  }
  return out;
}

void set_values(Tensor t, const std::vector<double>& values) {
  BK_ASSERT(static_cast<int64_t>(values.size()) == t.count(), values.size(), " values for ", t.shape);
  auto write = [&](auto* p) {
    using T = std::remove_pointer_t<decltype(p)>;
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, bfloat16>)
        p[i] = bfloat16(static_cast<float>(values[i]));
      else
        p[i] = static_cast<T>(values[i]);
    }
  };
  switch (t.dtype) {
    case DType::f32:
      return write(t.as<float>());
    case DType::bf16:
      return write(t.as<bfloat16>());
    case DType::f64:
      return write(t.as<double>());
    case DType::i32:
      return write(t.as<int32_t>());
    case DType::i64:
      return write(t.as<int64_t>());
    case DType::u8:
      return write(t.as<uint8_t>());
  }
}

// The least rms that errors are measured against. Inputs are of order one, so a result that cancels to less than this
// has lost its digits in any arithmetic.
constexpr double kFloor = 0.02;

double scaled_error(const std::vector<double>& actual, const std::vector<double>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double squares = 0, worst = 0;
  for (double e : expected) squares += e * e;
  const double rms = std::max(kFloor, expected.empty() ? 0 : std::sqrt(squares / static_cast<double>(expected.size())));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(actual[i] - expected[i]);
    if (difference == 0) continue;
    // Also catches NaN, which compares false with everything.
    if (!(difference <= 1e300)) return INFINITY;
    worst = std::max(worst, difference / (std::abs(expected[i]) + rms));
  }
  return worst;
}

struct OpCase::World {
  explicit World(Device device) : arena(device), stream{device} {
    if constexpr (kWithCuda) {
      if (device.kind == DeviceKind::cuda) stream = cuda::create_stream(device);
    }
  }
  ~World() {
    if constexpr (kWithCuda) {
      if (stream.device.kind == DeviceKind::cuda) cuda::destroy_stream(stream);
    }
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Access to the elements of a tensor of this world, on any device.
  void write(Tensor tensor, const std::vector<double>& values) {
    std::vector<std::byte> host(tensor.bytes());
    Tensor staged = tensor;
    staged.data = host.data();
    set_values(staged, values);
    from_host(stream, tensor, host.data());
  }
  std::vector<double> read(Tensor tensor) {
    std::vector<std::byte> host(tensor.bytes());
    to_host(stream, host.data(), tensor);
    tensor.data = host.data();
    return values_of(tensor);
  }
  Arena arena;
  Stream stream;
  Tensors tensors;
};

OpCase& OpCase::add(Entry entry) {
  if (!entry.fill) entry.fill = normal(key_of(entry.name));
  entries_.push_back(std::move(entry));
  return *this;
}
OpCase& OpCase::activation(const std::string& name, Shape shape, Fill fill) {
  return add({name, shape, Role::activation, std::move(fill), {}});
}
OpCase& OpCase::parameter(const std::string& name, Shape shape, Fill fill) {
  return add({name, shape, Role::parameter, std::move(fill), {}});
}
OpCase& OpCase::index(const std::string& name, std::vector<int64_t> values, DType dtype, Shape shape) {
  if (shape.rank() == 0) shape = Shape{static_cast<int64_t>(values.size())};
  return add({name, shape, Role::index, {}, std::move(values), dtype});
}
OpCase& OpCase::output(const std::string& name, Shape shape) { return add({name, shape, Role::output, {}, {}}); }
OpCase& OpCase::output_f32(const std::string& name, Shape shape) {
  return add({name, shape, Role::output_f32, {}, {}});
}
OpCase& OpCase::statistic_output(const std::string& name, Shape shape) {
  return add({name, shape, Role::statistic, {}, {}});
}
OpCase& OpCase::index_output(const std::string& name, Shape shape, DType dtype) {
  return add({name, shape, Role::index_output, {}, {}, dtype});
}
OpCase& OpCase::forward(Run run) {
  forward_ = std::move(run);
  return *this;
}
OpCase& OpCase::backward(Run run) {
  backward_ = std::move(run);
  return *this;
}

namespace {
// Rounds a value as the tested device will see it, so that the reference gets the same input.
double rounded(double value, DType dtype) {
  if (dtype == DType::bf16) return static_cast<double>(static_cast<float>(bfloat16(static_cast<float>(value))));
  return static_cast<double>(static_cast<float>(value));
}
}  // namespace

void OpCase::populate(World& w, DType activation) const {
  for (const Entry& e : entries_) {
    const bool is_index = e.role == Role::index || e.role == Role::index_output;
    const bool is_activation = e.role == Role::activation || e.role == Role::output;
    const DType dtype = is_index ? e.dtype : is_activation ? activation : DType::f32;
    const Tensor tensor = w.arena.take(dtype, e.shape);
    std::vector<double> values(static_cast<size_t>(e.shape.count()), 0.0);
    if (e.role == Role::index) values.assign(e.values.begin(), e.values.end());
    if (e.role == Role::activation || e.role == Role::parameter) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = rounded(e.fill(static_cast<int64_t>(i)), dtype);
    }
    w.write(tensor, values);
    w.tensors.set(e.name, tensor);
    if (!backward_ || is_index || e.role == Role::statistic) continue;
    const Tensor gradient = w.arena.take(dtype, e.shape);
    const bool is_output = e.role == Role::output || e.role == Role::output_f32;
    const Fill fill = normal(key_of("d_" + e.name));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = is_output ? rounded(fill(static_cast<int64_t>(i)), dtype) : 0;
    }
    w.write(gradient, values);
    w.tensors.set("d_" + e.name, gradient);
  }
}

void OpCase::compare(Device device, DType activation, int64_t reduction, double slack) const {
  World tested(device), reference(Device{DeviceKind::reference});
  for (World* w : {&tested, &reference}) {
    populate(*w, activation);
    forward_(w->stream, w->tensors);
    if (backward_) backward_(w->stream, w->tensors);
  }
  auto check = [&](const std::string& name) {
    const Tensor actual = tested.tensors[name];
    const double error = scaled_error(tested.read(actual), reference.read(reference.tensors[name]));
    // Statistics and parameter gradients are f32, but they are computed from activations of the run's dtype and inherit
    // its error.
    const DType worst = activation == DType::bf16 ? DType::bf16 : DType::f32;
    EXPECT_LE(error, slack * bound(is_float(actual.dtype) ? worst : DType::f64, reduction))
        << name << " of the " << name_of(device.kind) << " device, activations " << activation;
  };
  for (const Entry& e : entries_) {
    const bool is_input = e.role == Role::activation || e.role == Role::parameter || e.role == Role::index;
    if (!is_input) check(e.name);
    if (backward_ && (e.role == Role::activation || e.role == Role::parameter)) check("d_" + e.name);
  }
}

void OpCase::expect_cpu_equals_reference(int64_t reduction, double slack) const {
  compare(Device{DeviceKind::cpu}, DType::f32, reduction, slack);
  compare(Device{DeviceKind::cpu}, DType::bf16, reduction, slack);
}

void OpCase::expect_cuda_equals_reference(int64_t reduction, double slack) const {
  compare(Device{DeviceKind::cuda}, DType::f32, reduction, slack);
  compare(Device{DeviceKind::cuda}, DType::bf16, reduction, slack);
}

void OpCase::expect_gradients(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                              int samples) const {
  World w(Device{DeviceKind::reference});
  populate(w, DType::f32);
  forward_(w.stream, w.tensors);
  // Copies, not views, because the backward may overwrite the gradient of an output in place.
  std::vector<std::vector<double>> cotangents;
  for (const auto& name : outputs) cotangents.push_back(values_of(w.tensors["d_" + name]));
  backward_(w.stream, w.tensors);
  auto objective = [&] {
    forward_(w.stream, w.tensors);
    double sum = 0;
    for (size_t k = 0; k < outputs.size(); ++k) {
      const auto y = values_of(w.tensors[outputs[k]]);
      for (size_t i = 0; i < y.size(); ++i) sum += y[i] * cotangents[k][i];
    }
    return sum;
  };
  for (const auto& name : inputs) {
    const Tensor input = w.tensors[name];
    const std::vector<double> analytic = values_of(w.tensors["d_" + name]);
    // Errors are judged relative to the largest gradient of the tensor, but at least to 1e-3: below that, the error of
    // the differences themselves dominates.
    double largest = 1e-3;
    for (double g : analytic) largest = std::max(largest, std::abs(g));
    const int64_t stride = std::max<int64_t>(1, input.count() / samples);
    for (int64_t i = 0; i < input.count(); i += stride) {
      double& x = input.as<double>()[i];
      const double x0 = x, h = 1e-5 * std::max(1.0, std::abs(x0));
      x = x0 + h;
      const double up = objective();
      x = x0 - h;
      const double down = objective();
      x = x0;
      EXPECT_NEAR(analytic[static_cast<size_t>(i)], (up - down) / (2 * h), kGradientBound * largest)
          << "d_" << name << "[" << i << "]";
    }
  }
}

std::vector<double> OpCase::result(Device device, DType activation, const std::string& name) const {
  World w(device);
  populate(w, activation);
  forward_(w.stream, w.tensors);
  if (backward_) backward_(w.stream, w.tensors);
  return w.read(w.tensors[name]);
}

}  // namespace birkhoff::test
