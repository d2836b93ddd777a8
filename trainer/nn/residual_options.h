#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

enum class ResidualType : uint8_t { plain, hc, mhc, mhc_single_pass };
inline EnumNames names_of(ResidualType) {
  static constexpr std::string_view names[] = {"plain", "hc", "mhc", "mhc_single_pass"};
  return names;
}

// Source: Zhu et al. 2024, arXiv:2409.19606 (hc); Xie et al. 2025, arXiv:2512.24880 (mhc).
struct ResidualOptions {
  ResidualType type = ResidualType::plain;
  int64_t streams = 4;
  int64_t sinkhorn_iterations = 20;
  double eps = 1e-6;
  double post_factor = 2;
  double alpha_init = 0.01;
  double phi_std = 0.02;
  double mix_diagonal_init = 0;

  int64_t num_streams() const { return type == ResidualType::plain ? 1 : streams; }

  void visit(SettingList& s) {
    const auto of_mhc = [&](auto add_settings) {
      s.unused_if(type == ResidualType::hc,
                  "type is hc, which normalizes nothing, starts its matrix at 0 and its mix at the identity",
                  add_settings);
    };
    s("type", type,
      "plain: x + f(x); hc: hyper-connections; mhc: with a doubly stochastic mixing matrix; mhc_single_pass: mhc whose "
      "sublayers read the streams with the weights that the previous sublayer predicted");
    s.unused_if(type == ResidualType::plain, "type is plain", [&] {
      s("streams", streams, Limits{1, 8}, "residual streams of hc and mhc");
      of_mhc([&] {
        s("sinkhorn_iterations", sinkhorn_iterations, Limits{1, 100},
          "normalizations of the mixing matrix, rows and columns");
        s("eps", eps, Limits{0, 0.1}, "added to the read weights and to the sums of the normalizations");
        s("post_factor", post_factor, Limits{0, 100},
          "mhc: factor of the sigmoid that writes a sublayer's output to a stream, so the largest such weight");
      });
      s("alpha_init", alpha_init, Limits{0, 10}, "initial factors of the coefficients that depend on the token");
      of_mhc([&] {
        s("phi_std", phi_std, Limits{0, 10},
          "standard deviation of the initial coefficient matrix; 0 keeps all streams equal");
        s("mix_diagonal_init", mix_diagonal_init, Limits{-100, 100}, "initial logit of a stream's mix with itself");
      });
    });
  }
  bool operator==(const ResidualOptions&) const = default;
};

}  // namespace birkhoff
