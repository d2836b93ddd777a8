#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/loss/cross_entropy.h"

namespace birkhoff::reference {

void cross_entropy(const CrossEntropyArgs& a) {
  const int64_t T = a.logits.shape.rows(), V = a.logits.shape.back();
  double loss = 0;
  for (int64_t t = 0; t < T; ++t) {
    const double* logits = a.logits.as<double>() + t * V;
    const int32_t target = a.targets.as<int32_t>()[t];
    BK_ASSERT(target >= -1 && target < V, "target ", target, " of a vocabulary of ", V);
    const bool counts = target >= 0;
    const double max = *std::max_element(logits, logits + V);
    double sum = 0;
    for (int64_t v = 0; v < V; ++v) sum += std::exp(logits[v] - max);
    const double lse = max + std::log(sum), nll = counts ? lse - logits[target] : 0;
    const double weight = counts && a.weight.present() ? a.weight.as<double>()[t] : 0;
    const double scale = weight * (1 + 2 * a.z_loss * lse);
    loss += weight * (nll + a.z_loss * lse * lse);
    if (a.nll.present()) a.nll.as<double>()[t] = nll;
    for (int64_t v = 0; a.dlogits.present() && v < V; ++v) {
      a.dlogits.as<double>()[t * V + v] = scale * std::exp(logits[v] - lse) - (v == target ? weight : 0);
    }
  }
  if (a.loss.present()) a.loss.as<double>()[0] += loss;
}

}  // namespace birkhoff::reference
