#pragma once
#include "kernels/rope/rope.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

enum class AttentionType : uint8_t { mha, gqa, mla };
inline EnumNames names_of(AttentionType) {
  static constexpr std::string_view names[] = {"mha", "gqa", "mla"};
  return names;
}

struct AttentionOptions {
  AttentionType type = AttentionType::mha;
  int64_t num_heads = 8;
  int64_t num_kv_heads = 0;  // 0: filled in by the config reader; modules need the number
  int64_t head_dim = 0;      // likewise
  int64_t q_lora_rank = 0;
  int64_t kv_lora_rank = 512;
  int64_t qk_nope_head_dim = 128;
  int64_t qk_rope_head_dim = 64;
  int64_t v_head_dim = 128;
  bool qk_norm = false;
  bool bias = false;

  void visit(SettingList& s) {
    const bool mla = type == AttentionType::mla;
    s("type", type, "mha: as many key heads as query heads; gqa: num_kv_heads; mla: low-rank keys and values");
    s("num_heads", num_heads, Limits{1, 65536}, "query heads");
    s.unused_if(mla, "type is mla", [&] {
      s("num_kv_heads", num_kv_heads, Limits{0, 65536}, "key and value heads of gqa; 0: num_heads");
      s("head_dim", head_dim, Limits{0, 65536}, "width of a head of mha and gqa; 0: hidden_size / num_heads");
    });
    s.unused_if(!mla, "type is not mla", [&] {
      s("q_lora_rank", q_lora_rank, Limits{0, 1e6},
        "mla: width of the query latent; 0: queries straight from the input");
      s("kv_lora_rank", kv_lora_rank, Limits{1, 1e6}, "mla: width of the latent of keys and values");
      s("qk_nope_head_dim", qk_nope_head_dim, Limits{0, 65536}, "mla: width per head without position");
      s("qk_rope_head_dim", qk_rope_head_dim, Limits{0, 65536},
        "mla: width per head that is rotated, one key for all heads");
      s("v_head_dim", v_head_dim, Limits{1, 65536}, "mla: width of a value head");
    });
    s("qk_norm", qk_norm, "RMS-normalize queries and keys per head, without weights; mla: queries");
    s.unused_if(mla, "type is mla", [&] { s("bias", bias, "biases on the projections of mha and gqa"); });
  }
  bool operator==(const AttentionOptions&) const = default;
};

// Source: Peng et al. 2023, arXiv:2309.00071; mscale and mscale_all_dim as in the configs of DeepSeek.
inline void visit(SettingList& s, YarnOptions& yarn) {
  s("factor", yarn.factor, Limits{1, 1e6}, "how much longer the context is than original_length; 1: no YaRN");
  s.unused_if(yarn.factor == 1, "factor is 1", [&] {
    s("original_length", yarn.original_length, Limits{1, 1e9}, "context length before the extension");
    s("beta_fast", yarn.beta_fast, Limits{0, 1e6}, "rotations over original_length above which a frequency stays");
    s("beta_slow", yarn.beta_slow, Limits{0, 1e6}, "rotations below which a frequency is divided by factor");
    s("mscale", yarn.mscale, Limits{0, 100},
      "with m(s) = 0.1 s ln(factor) + 1, cosines and sines are multiplied by m(mscale) / m(mscale_all_dim)");
    s("mscale_all_dim", yarn.mscale_all_dim, Limits{-1, 100},
      "the softmax scale is multiplied by m(mscale_all_dim)^2; 0: it stays; -1: mscale, which changes the softmax "
      "scale alone. A published config without this number means 0");
  });
}

// Rotary positions of queries and keys.
struct RotaryOptions : RopeOptions {
  int64_t dims = 0;  // 0: filled in by the config reader; modules need the number

  void visit(SettingList& s) {
    s("type", layout, "which values are rotated together: neighbors (2i, 2i+1) or halves (i, i + dims/2)");
    s("theta", theta, Limits{1, 1e12}, "base of the wavelengths");
    s("dims", dims, Limits{0, 65536},
      "rotated values of a head of mha and gqa, the last ones; 0: all. mla: qk_rope_head_dim");
    s.section("yarn", yarn, "context extension by YaRN");
  }
  bool operator==(const RotaryOptions&) const = default;
};

}  // namespace birkhoff
