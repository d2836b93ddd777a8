#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Decodes table rows in the format of DeepSeek-V4.1, in which blocks of B values share a scale:
//   rows[n,d] = e4m3(bytes[n,d]) * 2^(scales[n, d/B] - 127)
// Format e4m3fn: no infinity, 0x7f and 0xff are NaN; a scale byte of 255 is NaN.
//
// Shapes:  rows, bytes [N,D]; scales [N,D/B] (B is 32 in DeepSeek-V4.1).
// Types:   rows f32 or bf16; bytes, scales u8.
// Aliases: none.
// Errors:  UserError if a shape disagrees.
// Cost:    reads a byte and writes an element once each; bound by memory bandwidth.
// Source:  OCP 8-bit floating point (OFP8) and microscaling (MX) specifications.
struct Fp8RowsArgs {
  Tensor rows;
  Tensor bytes, scales;
};
void fp8_rows_decode(Stream& stream, const Fp8RowsArgs& args);

}  // namespace birkhoff
