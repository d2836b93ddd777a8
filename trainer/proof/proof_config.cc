#include "trainer/proof/proof_config.h"

#include <algorithm>
#include <numeric>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr double kProofRate = 1e-3;
constexpr int64_t kVocabulary = 509;  // odd, for configs whose vocabulary is that of a tokenizer

}  // namespace

ProofConfig proof_config(Config c, const std::vector<ProofLayout>& layouts, Recipe recipe) {
  std::vector<std::string> changes;
  const auto set = [&](const char* path, auto& value, auto wanted, const char* why) {
    if (value == wanted) return;
    changes.push_back(concat(path, " ", value, " -> ", wanted, ": ", why));
    value = wanted;
  };
  if (c.model.vocab_size == 0) set("model.vocab_size", c.model.vocab_size, kVocabulary, "no tokenizer is read");
  const double eps = std::max(c.optimizer.adamw.eps, kProofEps);
  set("optimizer.eps", c.optimizer.adamw.eps, eps, "gradients that are only rounding must not give full updates");
  double& rate = c.optimizer.schedule.learning_rate;
  if (rate == 0) set("optimizer.learning_rate", rate, kProofRate, "at 0 no new value could be wrong");
  if (!c.model.engram.layers.empty() && c.optimizer.engram.learning_rate_multiplier == 0) {
    set("optimizer.engram.learning_rate_multiplier", c.optimizer.engram.learning_rate_multiplier, 1.0,
        "at 0 no new row could be wrong");
  }
  int64_t divisor = c.batch.micro_batch_size;
  for (const ProofLayout& layout : layouts) {
    const int64_t dp = std::max(1, layout.degrees.dp);
    divisor = std::lcm(divisor, c.batch.micro_batch_size * dp);
  }
  const int64_t batch = (c.batch.global_batch_size + divisor - 1) / divisor * divisor;
  set("batch.global_batch_size", c.batch.global_batch_size, batch, "every layout must divide it");
  if (c.run.device != DeviceKind::reference && c.precision.recipe != recipe) {
    changes.push_back(concat("precision.recipe ", name_of(c.precision.recipe), " -> ", name_of(recipe)));
    c.precision.recipe = recipe;
  }
  if (c.precision.moments != DType::f32) {
    changes.push_back(concat("precision.moments ", c.precision.moments, " -> f32"));
    c.precision.moments = DType::f32;
  }
  if (c.precision.recipe == Recipe::f32 || c.run.device == DeviceKind::reference) {
    const auto whole = [&](const char* path, auto& value, auto exact) {
      if (value == exact) return;
      changes.push_back(concat("precision.", path, " -> the default: the proof in f32 rounds nothing on the way"));
      value = exact;
    };
    whole("dispatch", c.precision.dispatch, Payload::activation);
    whole("combine", c.precision.combine, Payload::activation);
    whole("gradients", c.precision.gradients, DType::f32);
  }
  if (c.optimizer.spike.skip)
    changes.push_back(concat("optimizer.spike.skip true -> false: every step must update the weights"));
  c.optimizer.spike.skip = false;
  return {c, changes};
}

}  // namespace birkhoff
