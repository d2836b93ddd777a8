#pragma once
#include "trainer/config/setting.h"

namespace birkhoff {

enum class PrecisionRecipe { f32, bf16, fp8_block };
inline EnumNames names_of(PrecisionRecipe) {
  static constexpr std::string_view names[] = {"f32", "bf16", "fp8_block"};
  return names;
}

enum class Fp8ScaleType { f32, ue8m0 };
inline EnumNames names_of(Fp8ScaleType) {
  static constexpr std::string_view names[] = {"f32", "ue8m0"};
  return names;
}

enum class MomentType { f32, bf16 };
inline EnumNames names_of(MomentType) {
  static constexpr std::string_view names[] = {"f32", "bf16"};
  return names;
}

struct PrecisionConfig {
  PrecisionRecipe recipe = PrecisionRecipe::bf16;
  Fp8ScaleType fp8_scale = Fp8ScaleType::f32;
  MomentType moments = MomentType::f32;

  void visit(SettingList& s) {
    s("recipe", recipe, "types of activations and matrix products; master weights, gradients and the loss stay f32")
        .free("losses differ from those of the old recipe");
    s("fp8_scale", fp8_scale, "scales of the blocks of fp8_block; ue8m0: powers of two")
        .free("losses differ from those of the old scales");
    s("moments", moments, "type of the optimizer's moments");
  }
  bool operator==(const PrecisionConfig&) const = default;
};

}  // namespace birkhoff
