#include "kernels/engram/e4m3.h"
#include "kernels/engram/fp8_rows.h"

namespace birkhoff::reference {

void fp8_rows_decode(const Fp8RowsArgs& a) {
  for (int64_t k = 0; k < a.bytes.count(); ++k) {
    const int64_t block = a.bytes.shape[1] / a.scales.shape[1];
    a.rows.as<double>()[k] = e4m3_value(a.bytes.as<uint8_t>()[k]) * ue8m0_value(a.scales.as<uint8_t>()[k / block]);
  }
}

}  // namespace birkhoff::reference
