#pragma once
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/proof/layouts.h"

namespace birkhoff {

inline constexpr double kProofEps = 1e-3;
// The config of a proof of `config`: the recipe that is given unless the device is the reference, Adam's eps, no
// skipped steps, a vocabulary, and a batch that every layout divides. What was changed is listed, one line each.
struct ProofConfig {
  Config config;
  std::vector<std::string> changes;
};
ProofConfig proof_config(Config config, const std::vector<ProofLayout>& layouts, Recipe recipe = Recipe::f32);

}  // namespace birkhoff
