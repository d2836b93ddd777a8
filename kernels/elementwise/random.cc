#include "kernels/elementwise/random.h"

#include <vector>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

// Calls value(i) for every element, in parallel on the host, and stores the results in the tensor.
template <class Value>
void generate(Stream& stream, Tensor to, Value value) {
  if (stream.device.kind == DeviceKind::meta || to.count() == 0) return;
  auto run = [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    parallel_for(to.count(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(static_cast<float>(value(i)));
    });
  };
  auto with_type = [&](auto zero) {
    using T = decltype(zero);
    if (stream.device.kind != DeviceKind::cuda) return run(to.as<T>());
    std::vector<T> host(static_cast<size_t>(to.count()));
    run(host.data());
    from_host(stream, to, host.data());
  };
  switch (to.dtype) {
    case DType::f32:
      return with_type(float{});
    case DType::bf16:
      return with_type(bfloat16{});
    case DType::f64:
      return with_type(double{});
    default:
      throw BugError(concat("random values for dtype ", to.dtype));
  }
}

}  // namespace

void fill_normal(Stream& stream, const FillNormalArgs& a) {
  const Philox philox(a.seed, a.key);
  generate(stream, a.to, [&](int64_t i) { return a.std * philox.normal(static_cast<uint64_t>(a.first + i)); });
}

void from_doubles(Stream& stream, Tensor to, const double* values) {
  generate(stream, to, [&](int64_t i) { return values[i]; });
}

}  // namespace birkhoff
