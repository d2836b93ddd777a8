#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of the gate for one instruction set: one row is one stream of one token, w = w_h w_k.
struct EngramScore {
  float score, rstd_h, rstd_k;
};
template <class T>
struct EngramGateRow {
  EngramScore (*score)(const T* h, const T* k, const float* w, int64_t C, float eps);
  // out = h + gate v, value = gate v where not null.
  void (*write)(T* out, T* value, const T* h, const T* v, float gate, int64_t C);
  // d = dout + dvalue (null: dout); dv += gate d; returns <d, v>.
  float (*value_backward)(float* dv, const T* dout, const T* dvalue, const T* v, float gate, int64_t C);
  // dh = dout + dscore d(score)/dh, dk alike, dw += dscore d(score)/dw.
  void (*score_backward)(T* dh, T* dk, float* dw, const T* dout, const T* h, const T* k, const float* w,
                         EngramScore saved, float dscore, int64_t C);
};
template <Isa isa, class T>
EngramGateRow<T> engram_gate_row();

}  // namespace birkhoff::cpu
