#include "kernels/elementwise/copy.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/core/cpu/convert.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cuda/convert.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace {

constexpr int64_t kGrain = 16384, kBytesPerThread = 1 << 18;

template <class To, class From>
void convert(Tensor to, Tensor from) {
  To* out = to.as<To>();
  const From* in = from.as<From>();
  parallel_for(to.count(), kGrain, [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<To, double> || std::is_same_v<From, double>) {
      for (int64_t i = begin; i < end; ++i) out[i] = static_cast<To>(static_cast<double>(in[i]));
    } else {
      cpu::convert(out + begin, in + begin, end - begin);
    }
  });
}

// Copies host memory, with all threads unless the ranges overlap.
void move_bytes(void* to, const void* from, size_t bytes) {
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  if (out < in + bytes && in < out + bytes) {
    std::memmove(to, from, bytes);
    return;
  }
  parallel_for(static_cast<int64_t>(bytes), kBytesPerThread, [&](int64_t begin, int64_t end) {
    std::memcpy(out + begin, in + begin, static_cast<size_t>(end - begin));
  });
}

template <class Body>
void with_float_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::f32:
      return body(float{});
    case DType::bf16:
      return body(bfloat16{});
    case DType::f64:
      return body(double{});
    default:
      throw BugError(concat("copy: ", dtype, " is not a floating dtype"));
  }
}

// i64 counts, too.
template <class Body>
void with_value_type(DType dtype, Body body) {
  if (dtype == DType::i64) return body(int64_t{});
  with_float_type(dtype, body);
}

template <class T>
double value_of(T element) {
  if constexpr (std::is_same_v<T, bfloat16>) return static_cast<double>(static_cast<float>(element));
  return static_cast<double>(element);
}

bool on_host(const Stream& stream) {
  return stream.device.kind == DeviceKind::cpu || stream.device.kind == DeviceKind::reference;
}

}  // namespace

void copy(Stream& stream, Tensor to, Tensor from) {
  BK_ASSERT(to.count() == from.count(), "copy: to is ", to.shape, ", from is ", from.shape);
  OpScope scope(stream, "copy");
  if (stream.device.kind == DeviceKind::meta || to.count() == 0) return;
  if (to.dtype == from.dtype) {
    if (on_host(stream)) {
      move_bytes(to.data, from.data, to.bytes());
    } else if constexpr (kWithCuda) {
      cuda::copy_bytes(stream, to.data, from.data, to.bytes());
    }
    return;
  }
  if (!on_host(stream)) {
    if constexpr (kWithCuda) return cuda::convert(stream, to, from);
    throw_no_cuda_kernel("copy");
  }
  if (to.dtype == DType::f64 && from.dtype == DType::i64) return convert<double, int64_t>(to, from);
  with_float_type(to.dtype, [&](auto t) {
    with_float_type(from.dtype, [&](auto f) { convert<decltype(t), decltype(f)>(to, from); });
  });
}

void fill_zero(Stream& stream, Tensor to) {
  OpScope scope(stream, "fill_zero");
  if (stream.device.kind == DeviceKind::meta || to.count() == 0) return;
  if (on_host(stream)) {
    parallel_for(static_cast<int64_t>(to.bytes()), kBytesPerThread, [&](int64_t begin, int64_t end) {
      std::memset(static_cast<std::byte*>(to.data) + begin, 0, static_cast<size_t>(end - begin));
    });
  } else if constexpr (kWithCuda) {
    cuda::fill_zero(stream, to.data, to.bytes());
  }
}

void fill(Stream& stream, Tensor to, double value) {
  if (value == 0) return fill_zero(stream, to);
  OpScope scope(stream, "fill");
  if (stream.device.kind == DeviceKind::meta) return;
  if (!on_host(stream)) {
    if constexpr (kWithCuda) return cuda::fill(stream, to, static_cast<float>(value));
    throw_no_cuda_kernel("fill");
  }
  with_float_type(to.dtype, [&](auto t) {
    using T = decltype(t);
    const T v = [&] {
      if constexpr (std::is_same_v<T, double>)
        return value;
      else
        return T(static_cast<float>(value));
    }();
    T* out = to.as<T>();
    parallel_for(to.count(), kGrain, [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, v); });
  });
}

void to_host(Stream& stream, void* host, Tensor from) {
  if (stream.device.kind == DeviceKind::meta || from.count() == 0) return;
  if (on_host(stream)) {
    std::memcpy(host, from.data, from.bytes());
  } else if constexpr (kWithCuda) {
    cuda::copy_bytes(stream, host, from.data, from.bytes());
    cuda::synchronize(stream);
  }
}

void from_host(Stream& stream, Tensor to, const void* host) {
  if (stream.device.kind == DeviceKind::meta || to.count() == 0) return;
  if (on_host(stream)) {
    std::memcpy(to.data, host, to.bytes());
  } else if constexpr (kWithCuda) {
    cuda::copy_bytes(stream, to.data, host, to.bytes());
    cuda::synchronize(stream);
  }
}

std::vector<double> read_values(Stream& stream, Tensor from) {
  std::vector<double> values(static_cast<size_t>(from.count()), 0.0);
  if (stream.device.kind == DeviceKind::meta) return values;
  with_value_type(from.dtype, [&](auto t) {
    std::vector<decltype(t)> host(values.size());
    to_host(stream, host.data(), from);
    for (size_t i = 0; i < host.size(); ++i) values[i] = value_of(host[i]);
  });
  return values;
}

std::vector<std::vector<double>> read_together(Stream& stream, Arena& scratch, std::span<const Tensor> tensors) {
  int64_t total = 0;
  for (const Tensor& t : tensors) total += t.count();
  const ArenaScope scope(scratch);
  const Tensor all = scratch.take(DType::f64, {total});
  int64_t begin = 0;
  for (const Tensor& t : tensors) {
    copy(stream, all.flat(begin, t.count()), t);
    begin += t.count();
  }
  const std::vector<double> values = read_values(stream, all);
  std::vector<std::vector<double>> parts;
  auto next = values.begin();
  for (const Tensor& t : tensors) {
    parts.emplace_back(next, next + t.count());
    next += t.count();
  }
  return parts;
}

void write_values(Stream& stream, Tensor to, const std::vector<double>& values) {
  BK_ASSERT(static_cast<int64_t>(values.size()) == to.count(), values.size(), " values for ", to.shape);
  if (stream.device.kind == DeviceKind::meta) return;
  with_value_type(to.dtype, [&](auto t) {
    using T = decltype(t);
    std::vector<T> host(values.size());
    for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<T>(values[i]);
    from_host(stream, to, host.data());
  });
}

double read_scalar(Stream& stream, Tensor scalar) {
  BK_ASSERT(scalar.count() == 1, scalar.shape);
  return read_values(stream, scalar)[0];
}

}  // namespace birkhoff
