#include "trainer/checkpoint/finite.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/reduce/reduce.h"

namespace birkhoff {
std::string find_nonfinite(const std::string& name, const Slice& slice, int64_t begin, const Tensor& part) {
  if (!is_float(part.dtype)) return {};
  Stream host;
  int32_t found = 0;
  flag_nonfinite(host, {{&found, DType::i32, {1}}, part});
  if (found == 0) return {};
  // Converting all elements is slow, so it is done only to locate a value that is known to exist.
  const std::vector<double> values = read_values(host, part);
  const auto bad = std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
  return concat(name, ", element ", slice.indices_of(begin + (bad - values.begin())), ", is ", *bad);
}

}  // namespace birkhoff
