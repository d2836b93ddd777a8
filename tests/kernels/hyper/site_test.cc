// Tests how the ops work together: compares a whole wrapped sublayer, and stacks of sublayers, with vectors that other
// programs computed.
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/hyper/coefficients.h"
#include "kernels/hyper/read.h"
#include "kernels/hyper/streams.h"
#include "kernels/hyper/write_mix.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

using nlohmann::json;

// The vectors' sublayer, F(h) = tanh(h W^T).
struct Sublayer {
  Tensor W, dW;

  void forward(Tensor y, Tensor h) const {
    const auto w = values_of(W), in = values_of(h);
    const size_t C = static_cast<size_t>(W.shape[0]);
    std::vector<double> out(in.size());
    for (size_t k = 0; k < out.size(); ++k) {
      for (size_t c = 0; c < C; ++c) out[k] += in[k / C * C + c] * w[k % C * C + c];
      out[k] = std::tanh(out[k]);
    }
    set_values(y, out);
  }
  void backward(Tensor dh, Tensor dy, Tensor h, Tensor y) const {
    const auto w = values_of(W), in = values_of(h), out = values_of(y), d = values_of(dy);
    const size_t C = static_cast<size_t>(W.shape[0]);
    std::vector<double> din(in.size()), dw = values_of(dW);
    for (size_t k = 0; k < d.size(); ++k) {
      const double g = d[k] * (1 - out[k] * out[k]);
      for (size_t c = 0; c < C; ++c) {
        din[k / C * C + c] += g * w[k % C * C + c];
        dw[k % C * C + c] += g * in[k / C * C + c];
      }
    }
    set_values(dh, din);
    set_values(dW, dw);
  }
};

// One site: its parameters, what its forward stores, and its gradients.
struct Site {
  Tensor fn, base, scale, dfn, dbase, dscale;
  Sublayer inner;
  HyperOptions options;
  Tensor x, mixes, rstd, pre, post, comb, h, y, x_next, dh, dy, dpre, dpost, dcomb;
};

class HyperVectors : public testing::TestWithParam<DeviceKind> {
 protected:
  Stream stream{Device{GetParam()}, nullptr, nullptr};
  Arena arena{stream.device};

  double limit() const { return GetParam() == DeviceKind::reference ? kVectorBound : 16 * bound(DType::f32, 200); }
  Tensor take(Shape shape) {
    const Tensor tensor = arena.take(DType::f32, shape);
    set_values(tensor, std::vector<double>(static_cast<size_t>(shape.count()), 0.0));
    return tensor;
  }
  Tensor load(const json& nested) { return tensor_of(arena, nested); }
  void expect(Tensor actual, const json& expected, const std::string& what) {
    expect_vector(actual, expected, limit(), what);
  }

  Site site(const json& v, HyperOptions options) {
    Site s;
    s.fn = load(v.at("fn")), s.base = load(v.at("base")), s.scale = load(v.at("scale"));
    s.dfn = take(s.fn.shape), s.dbase = take(s.base.shape), s.dscale = take(s.scale.shape);
    s.inner = {load(v.at("W")), take({s.fn.shape[1] / streams, s.fn.shape[1] / streams})};
    s.options = options;
    return s;
  }

  // If pre_used is absent, the site reads with its own pre.
  void forward(Site& s, Tensor x, Tensor pre_used) {
    const int64_t T = x.shape[0], S = x.shape[1], C = x.shape[2];
    s.x = x;
    s.mixes = take({T, S * S + 2 * S}), s.rstd = take({T}), s.pre = take({T, S}), s.post = take({T, S});
    s.comb = take({T, S, S}), s.h = take({T, C}), s.y = take({T, C}), s.x_next = take(x.shape);
    const Tensor fused = pre_used.present() ? Tensor{} : s.h;
    hyper_coefficients_forward(stream, {.mixes = s.mixes,
                                        .rstd = s.rstd,
                                        .pre = s.pre,
                                        .post = s.post,
                                        .comb = s.comb,
                                        .h = fused,
                                        .x = x,
                                        .fn = s.fn,
                                        .base = s.base,
                                        .scale = s.scale,
                                        .options = s.options});
    if (pre_used.present()) hyper_read_forward(stream, {s.h, x, pre_used});
    s.inner.forward(s.y, s.h);
    hyper_write_mix_forward(stream, {s.x_next, x, s.y, s.post, s.comb});
  }

  // Returns dx. If pre_used is given, dpre of this site's coefficients comes from a later site, and the gradient of
  // pre_used is left in s.dpre.
  Tensor backward(Site& s, Tensor dx_next, Tensor pre_used, Tensor dpre) {
    const int64_t T = s.x.shape[0], S = s.x.shape[1], C = s.x.shape[2];
    const Tensor dx = take(s.x.shape);
    s.dh = take({T, C}), s.dy = take({T, C}), s.dpre = take({T, S}), s.dpost = take({T, S}), s.dcomb = take({T, S, S});
    hyper_write_mix_backward(stream, {.dx = dx,
                                      .dy = s.dy,
                                      .dpost = s.dpost,
                                      .dcomb = s.dcomb,
                                      .dx_next = dx_next,
                                      .x = s.x,
                                      .y = s.y,
                                      .post = s.post,
                                      .comb = s.comb});
    s.inner.backward(s.dh, s.dy, s.h, s.y);
    if (pre_used.present()) hyper_read_backward(stream, {dx, s.dpre, s.dh, s.x, pre_used});
    hyper_coefficients_backward(stream, {.dx = dx,
                                         .dfn = s.dfn,
                                         .dbase = s.dbase,
                                         .dscale = s.dscale,
                                         .dpre = dpre,
                                         .dpost = s.dpost,
                                         .dcomb = s.dcomb,
                                         .dh = pre_used.present() ? Tensor{} : s.dh,
                                         .x = s.x,
                                         .fn = s.fn,
                                         .base = s.base,
                                         .scale = s.scale,
                                         .mixes = s.mixes,
                                         .rstd = s.rstd,
                                         .options = s.options});
    return dx;
  }

  void expect_parameters(const Site& s, const json& v, const std::string& prefix) {
    expect(s.dfn, v[prefix + "fn"], "dfn");
    expect(s.dscale, v[prefix + "scale"], "dscale");
    expect(s.dbase, v[prefix + "base"], "dbase");
    expect(s.inner.dW, v[prefix + "W"], "dW");
  }

  // The gradient of mixes, which no op returns, computed from the gradients of pre (all uses), post and comb.
  Tensor dmixes(const Site& s, const json& v) {
    const int64_t T = s.x.shape[0], S = s.x.shape[1];
    const auto mixes = values_of(s.mixes), base = values_of(s.base), scale = values_of(s.scale);
    const auto pre = values_of(s.pre), post = values_of(s.post), dpost = values_of(s.dpost);
    const auto dpre = flatten(v.at("grad_pre"));
    const Tensor logits = take({T, S, S}), dlogits = take({T, S, S}), out = take(s.mixes.shape);
    std::vector<double> z(static_cast<size_t>(T * S * S)), d(mixes.size());
    const auto width = static_cast<size_t>(S * S + 2 * S), side = static_cast<size_t>(S), square = side * side;
    for (size_t i = 0; i < z.size(); ++i) {
      const size_t column = 2 * side + i % square;
      z[i] = scale[2] * mixes[i / square * width + column] + base[column];
    }
    set_values(logits, z);
    sinkhorn_backward(stream, {dlogits, s.dcomb, logits, s.options.sinkhorn});
    const auto dz = values_of(dlogits);
    for (size_t t = 0; t < static_cast<size_t>(T); ++t) {
      for (size_t k = 0; k < side; ++k) {
        const double gate = pre[t * side + k] - s.options.sinkhorn.eps, p = post[t * side + k];
        d[t * width + k] = scale[0] * dpre[t * side + k] * gate * (1 - gate);
        d[t * width + side + k] = scale[1] * dpost[t * side + k] * p * (1 - p / s.options.post_multiplier);
      }
      for (size_t k = 0; k < square; ++k) d[t * width + 2 * side + k] = scale[2] * dz[t * square + k];
    }
    set_values(out, d);
    return out;
  }

  int64_t streams = 4;
};

// The number of streams of a stack: a sublayer's fn has n * C columns.
int64_t streams_of(const json& v) {
  return static_cast<int64_t>(v.at("params").at(0).at("fn").at(0).size() / v.at("emb").at(0).size());
}
// The options of a form. Defaults are those of the released models.
HyperOptions options_of(const json& file, const json& form, double norm_eps) {
  const auto value = [&](const char* name, double otherwise) { return form.value(name, file.value(name, otherwise)); };
  const int iterations = form.value("iters", file.value("iters", 20));
  return {{iterations, value("hc_eps", 1e-6)}, value("norm_eps", norm_eps), value("post_mult", 2)};
}

class HyperSiteVectors : public HyperVectors {};
class HyperStackVectors : public HyperVectors {};
INSTANTIATE_TEST_SUITE_P(Devices, HyperSiteVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));
INSTANTIATE_TEST_SUITE_P(Devices, HyperStackVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

TEST_P(HyperSiteVectors, MatchOneSublayer) {
  for_each_vector("mhc_site", [&](const json& v) {
    streams = v.at("n");
    Site s = site(v, {{v.at("iters"), v.at("hc_eps")}, v.at("norm_eps"), v.at("post_mult")});
    forward(s, load(v.at("X")), {});
    expect(s.mixes, v.at("mixes"), "mixes");
    expect(s.pre, v.at("pre"), "pre");
    expect(s.post, v.at("post"), "post");
    expect(s.comb, v.at("comb"), "comb");
    expect(s.h, v.at("layer_input"), "h");
    expect(s.y, v.at("layer_output"), "y");
    expect(s.x_next, v.at("out"), "x_next");
    const Shape stated{v.at("S"), v.at("n"), v.at("C")};
    EXPECT_EQ(s.x.shape, stated);
    const Tensor dx = backward(s, load(v.at("grad_out")), {}, {});
    expect(s.dy, v.at("grad_layer_output"), "dy");
    expect(s.dh, v.at("grad_layer_input"), "dh");
    expect(s.dpost, v.at("grad_post"), "dpost");
    expect(s.dcomb, v.at("grad_comb"), "dcomb");
    expect(dx, v.at("grad_X"), "dx");
    expect_parameters(s, v, "grad_");
    expect(dmixes(s, v), v.at("grad_mixes"), "dmixes");
  });
}

// Reading separately from the coefficients gives the same as the fused form.
TEST_P(HyperSiteVectors, MatchOneSublayerReadApart) {
  for_each_vector("mhc_site", [&](const json& v) {
    streams = v.at("n");
    Site s = site(v, {{v.at("iters"), v.at("hc_eps")}, v.at("norm_eps"), v.at("post_mult")});
    forward(s, load(v.at("X")), load(v.at("pre")));
    expect(s.x_next, v.at("out"), "x_next");
    const Tensor dx = backward(s, load(v.at("grad_out")), s.pre, load(v.at("grad_pre")));
    expect(s.dpre, v.at("grad_pre"), "dpre");
    expect(dx, v.at("grad_X"), "dx");
    expect_parameters(s, v, "grad_");
  });
}

TEST_P(HyperStackVectors, MatchTwoBlocksWithALearnedHead) {
  for_each_vector_file("mhc_stack", [&](const json& v) {
    streams = streams_of(v);
    const Tensor emb = load(v.at("emb"));
    const int64_t T = emb.shape[0], C = emb.shape[1], S = streams;
    const HyperOptions options = options_of(v, v.at("v4"), 1e-6);
    std::vector<Site> sites;
    Tensor x = take({T, S, C});
    hyper_expand(stream, {x, emb});
    for (const auto& p : v.at("params")) {
      sites.push_back(site(p, options));
      forward(sites.back(), x, {});
      x = sites.back().x_next;
    }
    expect(x, v.at("v4").at("X_final"), "x");
    const Tensor fn = load(v.at("head").at("fn")), base = load(v.at("head").at("base")),
                 scale = load(v.at("head").at("scale"));
    const Tensor mixes = take({T, S}), rstd = take({T}), pre = take({T, S}), out = take({T, C});
    hyper_coefficients_forward(stream, {.mixes = mixes,
                                        .rstd = rstd,
                                        .pre = pre,
                                        .post = {},
                                        .comb = {},
                                        .h = out,
                                        .x = x,
                                        .fn = fn,
                                        .base = base,
                                        .scale = scale,
                                        .options = options});
    expect(out, v.at("v4").at("collapsed"), "collapsed");

    Tensor dx = take(x.shape);
    const Tensor dfn = take(fn.shape), dbase = take(base.shape), dscale = take(scale.shape), demb = take(emb.shape);
    hyper_coefficients_backward(stream, {.dx = dx,
                                         .dfn = dfn,
                                         .dbase = dbase,
                                         .dscale = dscale,
                                         .dpre = {},
                                         .dpost = {},
                                         .dcomb = {},
                                         .dh = load(v.at("grad_collapsed")),
                                         .x = x,
                                         .fn = fn,
                                         .base = base,
                                         .scale = scale,
                                         .mixes = mixes,
                                         .rstd = rstd,
                                         .options = options});
    expect(dfn, v.at("v4").at("grad_head").at("fn"), "head dfn");
    expect(dbase, v.at("v4").at("grad_head").at("base"), "head dbase");
    expect(dscale, v.at("v4").at("grad_head").at("scale"), "head dscale");
    for (size_t k = sites.size(); k-- > 0;) {
      dx = backward(sites[k], dx, {}, {});
      expect_parameters(sites[k], v.at("v4").at("grads")[k], "");
    }
    hyper_collapse(stream, {demb, dx});
    expect(demb, v.at("v4").at("grad_emb"), "demb");
  });
}

// Each sublayer reads with the coefficients of the one before it. The first reads stream 0; the collapse uses the
// coefficients of the last.
TEST_P(HyperStackVectors, MatchTwoBlocksOfTheSinglePassForm) {
  for_each_vector_file("mhc_stack", [&](const json& v) {
    streams = streams_of(v);
    const Tensor emb = load(v.at("emb"));
    const int64_t T = emb.shape[0], C = emb.shape[1], S = streams;
    Tensor x = take({T, S, C});
    hyper_expand(stream, {x, emb});
    std::vector<Tensor> pre{take({T, S})};
    std::vector<double> one_hot(static_cast<size_t>(T * S));
    for (size_t t = 0; t < one_hot.size(); t += static_cast<size_t>(S)) one_hot[t] = 1;
    set_values(pre[0], one_hot);
    const HyperOptions options = options_of(v, v.at("v41"), 1e-20);
    std::vector<Site> sites;
    for (const auto& p : v.at("params")) {
      sites.push_back(site(p, options));
      forward(sites.back(), x, pre.back());
      x = sites.back().x_next;
      pre.push_back(sites.back().pre);
    }
    const Tensor out = take({T, C});
    hyper_read_forward(stream, {out, x, pre.back()});
    expect(x, v.at("v41").at("X_final"), "x");
    expect(out, v.at("v41").at("collapsed"), "collapsed");

    Tensor dx = take(x.shape), dpre = take({T, S});
    const Tensor demb = take(emb.shape);
    hyper_read_backward(stream, {dx, dpre, load(v.at("grad_collapsed")), x, pre.back()});
    for (size_t k = sites.size(); k-- > 0;) {
      dx = backward(sites[k], dx, pre[k], dpre);
      dpre = sites[k].dpre;
      expect_parameters(sites[k], v.at("v41").at("grads")[k], "");
    }
    hyper_collapse(stream, {demb, dx});
    expect(demb, v.at("v41").at("grad_emb"), "demb");
  });
}

}  // namespace
}  // namespace birkhoff::test
