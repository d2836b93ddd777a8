#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

enum class NormType : uint8_t { rmsnorm, layernorm };
inline EnumNames names_of(NormType) {
  static constexpr std::string_view names[] = {"rmsnorm", "layernorm"};
  return names;
}

// The norms of a model. The settings appear directly in the section `model`.
struct NormOptions {
  NormType type = NormType::rmsnorm;
  double eps = 1e-6;

  void visit(SettingList& s) {
    s("norm", type, "normalization before each sublayer and before the head");
    s("norm_eps", eps, Limits{0, 0.1}, "added to the mean square");
  }
  bool operator==(const NormOptions&) const = default;
};

// Standard deviations of the initial weights. The settings appear directly in the section `model`.
struct InitOptions {
  double std = 0.02;
  double embedding = 0;
  double output_scale = 1;

  double embedding_std() const { return embedding > 0 ? embedding : std; }
  void visit(SettingList& s) {
    s("init_std", std, Limits{0, 10}, "standard deviation of the initial weights");
    s("embedding_init_std", embedding, Limits{0, 10},
      "standard deviation of the initial embedding and learned positions; 0: init_std");
    s("output_init_scale", output_scale, Limits{0, 10},
      "factor of init_std where attention, feed-forward and experts end; 1/sqrt(2 num_layers) in GPT-2");
  }
  bool operator==(const InitOptions&) const = default;
};

}  // namespace birkhoff
