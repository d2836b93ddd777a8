#pragma once
#include "trainer/config/setting.h"

namespace birkhoff {

enum class PrecisionRecipe { f32, bf16, fp8_block };
inline EnumNames names_of(PrecisionRecipe) {
  static constexpr std::string_view names[] = {"f32", "bf16", "fp8_block"};
  return names;
}

enum class MomentType { f32, bf16 };
inline EnumNames names_of(MomentType) {
  static constexpr std::string_view names[] = {"f32", "bf16"};
  return names;
}

struct PrecisionConfig {
  PrecisionRecipe recipe = PrecisionRecipe::bf16;
  MomentType moments = MomentType::f32;

  void visit(SettingList& s) {
    s("recipe", recipe, "types of activations and matrix products; master weights, gradients and the loss stay f32")
        .free("losses differ from those of the old recipe");
    s("moments", moments, "type of the optimizer's moments");
  }
  bool operator==(const PrecisionConfig&) const = default;
};

}  // namespace birkhoff
