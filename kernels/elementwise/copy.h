#pragma once
#include <span>
#include <vector>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Copies `from` to `to`, converting between floating dtypes, and from i64 to f64; other integer dtypes must agree. The
// shapes may differ, but the counts must be equal. Both tensors live on the stream's device. Does nothing on the meta
// device.
void copy(Stream& stream, Tensor to, Tensor from);

void fill_zero(Stream& stream, Tensor to);
void fill(Stream& stream, Tensor to, double value);

// Copy between host memory and the stream's device, without conversion; wait until the bytes have arrived.
void to_host(Stream& stream, void* host, Tensor from);
void from_host(Stream& stream, Tensor to, const void* host);

// The elements of a floating or i64 tensor as doubles; zeros on the meta device.
std::vector<double> read_values(Stream& stream, Tensor from);
// The elements of several floating or i64 tensors. They leave the device together, so the host waits only once.
// Temporaries come from `scratch`, which is rewound.
std::vector<std::vector<double>> read_together(Stream& stream, Arena& scratch, std::span<const Tensor> tensors);
// The reverse of read_values: one value for each element, rounded to the tensor's type (to bf16 by way of f32).
void write_values(Stream& stream, Tensor to, const std::vector<double>& values);
// The single element of a floating tensor, as a double; 0 on the meta device.
double read_scalar(Stream& stream, Tensor scalar);

}  // namespace birkhoff
