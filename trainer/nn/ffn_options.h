#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

enum class Activation : uint8_t { swiglu, gelu };
inline EnumNames names_of(Activation) {
  static constexpr std::string_view names[] = {"swiglu", "gelu"};
  return names;
}

struct FfnOptions {
  Activation activation = Activation::swiglu;
  int64_t size = 1408;
  bool bias = false;
  double clamp = 0;

  void visit(SettingList& s) {
    s("activation", activation, "swiglu has a gate and an up projection, gelu (tanh form) one projection");
    s("size", size, Limits{1, 1e7}, "inner width of a dense layer");
    s("bias", bias, "biases on the projections of dense layers");
    s("clamp", clamp, Limits{0, 1e6}, "swiglu: gate <= clamp and up in [-clamp, clamp], experts included; 0: none");
  }
  bool operator==(const FfnOptions&) const = default;
};

}  // namespace birkhoff
