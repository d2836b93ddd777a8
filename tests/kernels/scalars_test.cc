// Scalars of ops are doubles. The reference device computes with them unchanged; the cpu device rounds each of them
// once to f32.
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/activation/swiglu.h"
#include "kernels/attention/attention.h"
#include "kernels/engram/conv.h"
#include "kernels/engram/gate.h"
#include "kernels/hyper/coefficients.h"
#include "kernels/hyper/hc_coefficients.h"
#include "kernels/hyper/streams.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/moe/balance_loss.h"
#include "kernels/moe/bias_update.h"
#include "kernels/moe/router.h"
#include "kernels/norm/layernorm.h"
#include "kernels/norm/rmsnorm.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
Fill values(std::vector<double> list) {
  return [list = std::move(list)](int64_t i) { return list.at(static_cast<size_t>(i)); };
}

// An op with a scalar, and the first element of one of its outputs by the formula of its header.
struct Scalar {
  std::string name, output;
  std::function<OpCase(double)> op;
  std::function<double(double)> first;
};

Scalar rmsnorm_eps() {
  auto op = [](double s) {
    OpCase c;
    c.activation("x", {1, 2}, values({0.25, 0.5})).output("y", {1, 2}).statistic_output("rstd", {1});
    return c.forward([=](Stream& d, const Tensors& t) { rmsnorm_forward(d, {t["y"], t["rstd"], t["x"], {}, s}); });
  };
  return {"rmsnorm eps", "rstd", op, [](double s) { return 1 / std::sqrt(0.15625 + s); }};
}

Scalar layernorm_eps() {
  auto op = [](double s) {
    OpCase c;
    c.activation("x", {1, 2}, values({1, 3})).parameter("w", {2}, constant(1)).parameter("b", {2}, constant(0));
    c.output("y", {1, 2}).statistic_output("mean", {1}).statistic_output("rstd", {1});
    return c.forward([=](Stream& d, const Tensors& t) {
      layernorm_forward(
          d,
          {.y = t["y"], .mean = t["mean"], .rstd = t["rstd"], .x = t["x"], .weight = t["w"], .bias = t["b"], .eps = s});
    });
  };
  return {"layernorm eps", "rstd", op, [](double s) { return 1 / std::sqrt(1 + s); }};
}

Scalar conv_eps() {
  auto op = [](double s) {
    OpCase c;
    c.activation("x", {1, 1, 2}, values({0.25, 0.5})).parameter("gain", {1, 2}, constant(1));
    c.parameter("w", {1, 2, 2}, constant(1)).index("start", {0});
    c.output("y", {1, 1, 2}).statistic_output("rstd", {1, 1});
    return c.forward([=](Stream& d, const Tensors& t) {
      engram_conv_forward(d, {.out = t["y"],
                              .rstd = t["rstd"],
                              .x = t["x"],
                              .gain = t["gain"],
                              .weight = t["w"],
                              .document_start = t["start"],
                              .dilation = 1,
                              .eps = s});
    });
  };
  return {"engram convolution eps", "rstd", op, [](double s) { return 1 / std::sqrt(0.15625 + s); }};
}

OpCase gate_case(const EngramGateOptions& options) {
  OpCase c;
  c.activation("h", {1, 1, 2}, values({0.25, 0.5})).activation("kv", {1, 4}, values({0, 0, 1, 1}));
  c.parameter("w_h", {1, 2}, constant(1)).parameter("w_k", {1, 2}, constant(1)).output("out", {1, 1, 2});
  for (const char* name : {"gate", "score", "rstd_h", "rstd_k"}) c.statistic_output(name, {1, 1});
  return c.forward([=](Stream& d, const Tensors& t) {
    engram_gate_forward(d, {.out = t["out"],
                            .gate = t["gate"],
                            .score = t["score"],
                            .rstd_h = t["rstd_h"],
                            .rstd_k = t["rstd_k"],
                            .value = {},
                            .h = t["h"],
                            .kv = t["kv"],
                            .w_h = t["w_h"],
                            .w_k = t["w_k"],
                            .mask = {},
                            .options = options});
  });
}
Scalar gate_eps() {
  return {"engram gate eps", "rstd_h",
          [](double s) {
            return gate_case({s, 0.5, true});
          },
          [](double s) { return 1 / std::sqrt(0.15625 + s); }};
}
Scalar gate_clamp() {
  return {"engram gate clamp", "gate",
          [](double s) {
            return gate_case({0.5, s, true});
          },
          [](double s) { return sigmoid(std::sqrt(s)); }};  // the keys are 0, and so is the score
}

Scalar z_loss() {
  auto op = [](double s) {
    OpCase c;
    c.parameter("logits", {1, 2}, constant(0)).index("targets", {0}).parameter("weight", {1}, constant(1));
    c.output_f32("loss", {1});
    return c.forward([=](Stream& d, const Tensors& t) {
      cross_entropy(d, {.loss = t["loss"],
                        .nll = {},
                        .dlogits = {},
                        .logits = t["logits"],
                        .targets = t["targets"],
                        .weight = t["weight"],
                        .z_loss = s});
    });
  };
  return {"z_loss", "loss", op, [](double s) { return std::log(2) + s * std::log(2) * std::log(2); }};
}

Scalar swiglu_clamp() {
  auto op = [](double s) {
    OpCase c;
    c.activation("x", {1, 2}, constant(5)).output("y", {1, 1});
    return c.forward([=](Stream& d, const Tensors& t) { swiglu_forward(d, {t["y"], t["x"], {}, s}); });
  };
  return {"swiglu clamp", "y", op, [](double s) { return s * sigmoid(s) * s; }};
}

Scalar route_scale() {
  auto op = [](double s) {
    OpCase c;
    c.parameter("logits", {1, 2}, values({1, 0})).index_output("index", {1, 1}).statistic_output("gate", {1, 1});
    c.statistic_output("scores", {1, 2});
    return c.forward([=](Stream& d, const Tensors& t) {
      RouterArgs a{.index = t["index"],
                   .gate = t["gate"],
                   .scores = t["scores"],
                   .load = {},
                   .logits = t["logits"],
                   .bias = {},
                   .token_mask = {},
                   .chosen = {}};
      a.renormalize = false;
      a.route_scale = s;
      router_forward(d, a);
    });
  };
  return {"route_scale", "gate", op, [](double s) { return s * sigmoid(1); }};
}

Scalar balance_alpha() {
  auto op = [](double s) {
    OpCase c;
    c.parameter("scores", {1, 2}, constant(0.5)).output_f32("loss", {1}).statistic_output("fraction", {1, 2});
    return c.forward([=](Stream& d, const Tensors& t) {
      Arena arena(d.device);
      const Tensor probability = arena.take(kBalanceSums, {1, 2}), counts = arena.take(kBalanceSums, {1, 3});
      balance_counts(d, {.probability = probability,
                         .counts = counts,
                         .index = {},
                         .scores = t["scores"],
                         .chosen = {},
                         .token_mask = {},
                         .length = 1,
                         .num_chosen = 1});
      balance_loss_forward(d, {.loss = t["loss"],
                               .fraction = t["fraction"],
                               .probability = probability,
                               .counts = counts,
                               .num_chosen = 1,
                               .alpha = s,
                               .weight = 1.0 / 3});
    });
  };
  return {"balance alpha", "loss", op, [](double s) { return s / 3; }};
}

Scalar bias_speed() {
  auto op = [](double s) {
    OpCase c;
    c.output_f32("bias", {2}).parameter("load", {2}, values({1, 3}));
    return c.forward([=](Stream& d, const Tensors& t) { router_bias_update(d, {t["bias"], t["load"], s}); });
  };
  return {"bias speed", "bias", op, [](double s) { return s; }};
}

Scalar sinkhorn_eps() {
  auto op = [](double s) {
    OpCase c;
    c.parameter("logits", {1, 1, 1}, constant(2)).output_f32("comb", {1, 1, 1});
    return c.forward([=](Stream& d, const Tensors& t) { sinkhorn_forward(d, {t["comb"], t["logits"], {1, s}}); });
  };
  return {"sinkhorn eps", "comb", op, [](double s) { return (1 + s) / (1 + 2 * s); }};
}

OpCase coefficients_case(const HyperOptions& options) {
  OpCase c;
  c.activation("x", {1, 1, 2}, values({0.25, 0.5})).parameter("fn", {3, 2}, constant(0.25));
  c.parameter("base", {3}, constant(0)).parameter("scale", {3}, constant(0));
  c.statistic_output("mixes", {1, 3}).statistic_output("rstd", {1});
  c.statistic_output("pre", {1, 1}).statistic_output("post", {1, 1}).statistic_output("comb", {1, 1, 1});
  return c.forward([=](Stream& d, const Tensors& t) {
    hyper_coefficients_forward(d, {.mixes = t["mixes"],
                                   .rstd = t["rstd"],
                                   .pre = t["pre"],
                                   .post = t["post"],
                                   .comb = t["comb"],
                                   .h = {},
                                   .x = t["x"],
                                   .fn = t["fn"],
                                   .base = t["base"],
                                   .scale = t["scale"],
                                   .options = options});
  });
}
Scalar norm_eps() {
  return {"hyper norm_eps", "rstd",
          [](double s) {
            return coefficients_case({{1, 0.5}, s, 2});
          },
          [](double s) { return 1 / std::sqrt(0.15625 + s); }};
}
Scalar read_eps() {
  return {"hyper eps", "pre",
          [](double s) {
            return coefficients_case({{1, s}, 0.5, 2});
          },
          [](double s) { return 0.5 + s; }};
}
Scalar post_multiplier() {
  return {"hyper post_multiplier", "post",
          [](double s) {
            return coefficients_case({{1, 0.5}, 0.5, s});
          },
          [](double s) { return s / 2; }};
}

Scalar hc_norm_eps() {
  auto op = [](double s) {
    OpCase c;
    c.activation("x", {1, 1, 2}, values({0.25, 0.5})).parameter("fn", {3, 2}, constant(0.25));
    c.parameter("base", {3}, constant(0)).parameter("scale", {2}, constant(0));
    c.statistic_output("mixes", {1, 1, 3}).statistic_output("rstd", {1, 1});
    c.statistic_output("pre", {1, 1}).statistic_output("post", {1, 1}).statistic_output("comb", {1, 1, 1});
    return c.forward([=](Stream& d, const Tensors& t) {
      hc_coefficients_forward(d, {.mixes = t["mixes"],
                                  .rstd = t["rstd"],
                                  .pre = t["pre"],
                                  .post = t["post"],
                                  .comb = t["comb"],
                                  .x = t["x"],
                                  .fn = t["fn"],
                                  .base = t["base"],
                                  .scale = t["scale"],
                                  .norm_eps = s});
    });
  };
  return {"hc norm_eps", "rstd", op, [](double s) { return 1 / std::sqrt(0.15625 + s); }};
}

Scalar attention_scale() {
  auto op = [](double s) {
    OpCase c;
    c.activation("q", {1, 1, 1}, constant(1)).activation("k", {1, 1, 1}, constant(3));
    c.activation("v", {1, 1, 1}, constant(1)).index("start", {0});
    c.output("o", {1, 1, 1}).statistic_output("lse", {1, 1});
    return c.forward([=](Stream& d, const Tensors& t) {
      attention_forward(d, {.o = t["o"],
                            .lse = t["lse"],
                            .q = t["q"],
                            .k = t["k"],
                            .v = t["v"],
                            .mask = {.key_begin = t["start"], .max_length = 1},
                            .scale = s});
    });
  };
  return {"attention scale", "lse", op, [](double s) { return 3 * s; }};
}

Scalar expand_factor() {
  auto op = [](double s) {
    OpCase c;
    c.activation("h", {1, 1}, constant(3)).output("x", {1, 2, 1});
    return c.forward([=](Stream& d, const Tensors& t) { hyper_expand(d, {t["x"], t["h"], s}); });
  };
  return {"expand factor", "x", op, [](double s) { return 3 * s; }};
}
Scalar collapse_factor() {
  auto op = [](double s) {
    OpCase c;
    c.activation("x", {1, 2, 1}, constant(3)).output("h", {1, 1});
    return c.forward([=](Stream& d, const Tensors& t) { hyper_collapse(d, {t["h"], t["x"], s}); });
  };
  return {"collapse factor", "h", op, [](double s) { return 6 * s; }};
}

std::vector<Scalar> scalars() {
  return {rmsnorm_eps(),  layernorm_eps(),   conv_eps(),      gate_eps(),        gate_clamp(),    z_loss(),
          swiglu_clamp(), route_scale(),     balance_alpha(), bias_speed(),      sinkhorn_eps(),  norm_eps(),
          read_eps(),     post_multiplier(), hc_norm_eps(),   attention_scale(), expand_factor(), collapse_factor()};
}

constexpr double kTenth = 0.1, kRounded = 0.1f;

TEST(Scalars, OfTheReferenceAreDoubles) {
  for (const Scalar& s : scalars()) {
    const double value = s.op(kTenth).result({DeviceKind::reference}, DType::f32, s.output)[0];
    EXPECT_NEAR(value, s.first(kTenth), 1e-15) << s.name;
    EXPECT_GT(std::abs(value - s.first(kRounded)), 1e-10) << s.name << ": an f32 would not be seen";
  }
}

TEST(Scalars, OfTheCpuAreRoundedToF32) {
  for (const Scalar& s : scalars()) {
    const auto value = s.op(kTenth).result(Device{}, DType::f32, s.output);
    EXPECT_EQ(value, s.op(kRounded).result(Device{}, DType::f32, s.output)) << s.name;
    EXPECT_NEAR(value[0], s.first(kTenth), 1e-6) << s.name;
  }
}

}  // namespace
}  // namespace birkhoff::test
