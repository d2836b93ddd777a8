#pragma once
#include "kernels/gemm/precision.h"
#include "trainer/nn/moe_options.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

struct PrecisionConfig {
  Recipe recipe = Recipe::bf16;
  ScaleFormat fp8_scale = ScaleFormat::f32;
  DType moments = DType::f32;
  Payload dispatch = Payload::activation;
  Payload combine = Payload::activation;
  DType gradients = DType::f32;

  void visit(SettingList& s) {
    s("recipe", recipe, "types of activations and matrix products; master weights, gradients and the loss stay f32")
        .free("losses differ from those of the old recipe");
    s.unused_if(recipe != Recipe::fp8_block, "recipe is not fp8_block", [&] {
      s("fp8_scale", fp8_scale, "scales of the blocks of fp8_block; ue8m0: powers of two")
          .free("losses differ from those of the old scales");
    });
    s("moments", moments, {DType::f32, DType::bf16}, "type of the optimizer's moments");
    s("dispatch", dispatch, "type in which tokens and their gradients travel to experts of other ranks").free();
    s("combine", combine, "type in which the outputs of experts and their gradients travel back").free();
    s("gradients", gradients, {DType::f32, DType::bf16},
      "type in which gradients of weights travel between ranks; they are summed in f32 and then rounded to it")
        .free();
  }
  bool operator==(const PrecisionConfig&) const = default;
};

}  // namespace birkhoff
