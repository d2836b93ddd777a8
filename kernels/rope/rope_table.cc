#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/rope/rope.h"

namespace birkhoff {
namespace {

// The (fractional) index of the pair whose frequency turns `rotations` times over the original length.
double correction_dim(const RopeOptions& options, int64_t dims, double rotations) {
  const double turns = static_cast<double>(options.yarn.original_length) / (rotations * 2 * M_PI);
  return static_cast<double>(dims) * std::log(turns) / (2 * std::log(options.theta));
}

double magnitude(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

template <class T>
std::vector<T> cos_sin(const std::vector<double>& frequencies, double factor, int64_t positions) {
  std::vector<T> table;
  table.reserve(static_cast<size_t>(positions) * frequencies.size() * 2);
  for (int64_t p = 0; p < positions; ++p) {
    for (double f : frequencies) {
      table.push_back(static_cast<T>(factor * std::cos(static_cast<double>(p) * f)));
      table.push_back(static_cast<T>(factor * std::sin(static_cast<double>(p) * f)));
    }
  }
  return table;
}

double all_dims(const YarnOptions& options) {
  return options.mscale_all_dim == -1 ? options.mscale : options.mscale_all_dim;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeOptions& options, int64_t dims) {
  BK_CHECK(dims >= 0 && dims % 2 == 0, "rope: cannot rotate ", dims, " dims; give an even number");
  std::vector<double> frequencies(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(options.theta, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
  }
  if (options.yarn.factor == 1 || dims == 0) return frequencies;
  const double last = static_cast<double>(dims - 1);
  const double low = std::clamp(std::floor(correction_dim(options, dims, options.yarn.beta_fast)), 0.0, last);
  double high = std::clamp(std::ceil(correction_dim(options, dims, options.yarn.beta_slow)), 0.0, last);
  if (high <= low) high = low + 0.001;  // makes the blend a step, as in DeepSeek's code
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double slowed = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= slowed / options.yarn.factor + (1 - slowed);
  }
  return frequencies;
}

double rope_softmax_factor(const YarnOptions& options) {
  const double m = magnitude(options.factor, all_dims(options));
  return m * m;
}

double rope_table_factor(const YarnOptions& options) {
  return magnitude(options.factor, options.mscale) / magnitude(options.factor, all_dims(options));
}

void fill_rope_table(Stream& stream, Tensor table, const RopeOptions& options) {
  BK_CHECK(table.shape.rank() == 3 && table.shape[2] == 2, "rope: table is ", table.shape, ", expected [P, D/2, 2]");
  if (stream.device.kind == DeviceKind::meta) return;
  const auto frequencies = rope_frequencies(options, 2 * table.shape[1]);
  const double factor = rope_table_factor(options.yarn);
  if (table.dtype == DType::f64) {
    from_host(stream, table, cos_sin<double>(frequencies, factor, table.shape[0]).data());
  } else {
    BK_CHECK(table.dtype == DType::f32, "rope: table is ", table.dtype, ", expected f32");
    from_host(stream, table, cos_sin<float>(frequencies, factor, table.shape[0]).data());
  }
}

}  // namespace birkhoff
