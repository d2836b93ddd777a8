#pragma once
#include "kernels/moe/router.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

// What the gate of a routed expert multiplies: its output, or the inner activation before the down projection. Both
// give the same result in exact arithmetic. With `inner`, backward does not read the expert's output.
enum class GatePosition : uint8_t { output, inner };
inline EnumNames names_of(GatePosition) {
  static constexpr std::string_view names[] = {"output", "inner"};
  return names;
}

// The type in which tokens travel to the ranks of their experts (dispatch) and back (combine), also their gradients.
enum class Payload : uint8_t { activation, bf16 };
inline EnumNames names_of(Payload) {
  static constexpr std::string_view names[] = {"activation", "bf16"};
  return names;
}
struct Payloads {
  Payload dispatch = Payload::activation, combine = Payload::activation;
};

struct MoeOptions {
  int64_t num_experts = 0;
  int64_t top_k = 2;
  int64_t num_shared = 1;
  int64_t expert_size = 512;
  int64_t first_dense_layers = 0;
  RouterScore score_function = RouterScore::sigmoid;
  int64_t num_groups = 1;
  int64_t top_groups = 1;
  double route_scale = 1;
  bool renormalize = true;
  GatePosition gate_position = GatePosition::output;
  double bias_update_speed = 0.001;
  double sequence_balance_loss = 1e-4;

  // Whether block `layer` of the model has experts. The block of an MTP predictor counts as layer num_layers.
  bool at(int64_t layer) const { return num_experts > 0 && layer >= first_dense_layers; }

  void visit(SettingList& s) {
    s("num_experts", num_experts, Limits{0, 65536}, "routed experts of a layer; 0: every layer is dense");
    s.unused_if(num_experts == 0, "num_experts is 0", [&] {
      s("top_k", top_k, Limits{1, 1024}, "routed experts a token visits");
      s("num_shared", num_shared, Limits{0, 64},
        "experts every token visits, joined in one of num_shared * expert_size");
      s("expert_size", expert_size, Limits{1, 1e7}, "inner width of an expert");
      s("first_dense_layers", first_dense_layers, Limits{0, 10000}, "leading layers that stay dense");
      s("score_function", score_function, "from the router's logits to affinities");
      s("num_groups", num_groups, Limits{1, 65536}, "groups of experts; a group scores by the sum of its two best");
      s("top_groups", top_groups, Limits{1, 65536}, "groups a token may choose its experts from");
      s("route_scale", route_scale, Limits{0, 1000}, "factor of the gates");
      s("renormalize", renormalize, "gates of a token sum to 1 before route_scale");
      s("gate_position", gate_position,
        "what the gates multiply: an expert's output, or its inner activation before the down projection");
      // Even with speed 0 the bias exists and is saved, so the speed may change on a resume.
      s("bias_update_speed", bias_update_speed, Limits{0, 1},
        "step of the balancing bias, by the load of a whole step; 0: off")
          .free();
      s("sequence_balance_loss", sequence_balance_loss, Limits{0, 10}, "weight of the sequence-wise balance loss")
          .free();
    });
  }
  bool operator==(const MoeOptions&) const = default;
};

}  // namespace birkhoff
