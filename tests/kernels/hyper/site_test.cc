// A whole wrapped sublayer and whole stacks of them, against vectors computed elsewhere: how the ops compose.
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

// One site: parameters, what its forward leaves, and gradients.
struct Site {
  Tensor fn, base, scale, dfn, dbase, dscale;
  Sublayer inner;
  HyperOptions options;
  Tensor x, mixes, rstd, pre, post, comb, h, y, x_next, dh, dy, dpre, dpost, dcomb;
};

class HyperSiteVectors : public testing::TestWithParam<DeviceKind> {
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
    s.fn = load(v["fn"]), s.base = load(v["base"]), s.scale = load(v["scale"]);
    s.dfn = take(s.fn.shape), s.dbase = take(s.base.shape), s.dscale = take(s.scale.shape);
    s.inner = {load(v["W"]), take({s.fn.shape[1] / streams, s.fn.shape[1] / streams})};
    s.options = options;
    return s;
  }

  // pre_used absent: the site reads with its own.
  void forward(Site& s, Tensor x, Tensor pre_used) {
    const int64_t T = x.shape[0], S = x.shape[1], C = x.shape[2];
    s.x = x;
    s.mixes = take({T, S * S + 2 * S}), s.rstd = take({T}), s.pre = take({T, S}), s.post = take({T, S});
    s.comb = take({T, S, S}), s.h = take({T, C}), s.y = take({T, C}), s.x_next = take(x.shape);
    const Tensor fused = pre_used.present() ? Tensor{} : s.h;
    hyper_coefficients_forward(stream,
                               {s.mixes, s.rstd, s.pre, s.post, s.comb, fused, x, s.fn, s.base, s.scale, s.options});
    if (pre_used.present()) hyper_read_forward(stream, {s.h, x, pre_used});
    s.inner.forward(s.y, s.h);
    hyper_write_mix_forward(stream, {s.x_next, x, s.y, s.post, s.comb});
  }

  // Returns dx. With pre_used, dpre of this site's coefficients comes from later, and that of pre_used leaves in
  // s.dpre.
  Tensor backward(Site& s, Tensor dx_next, Tensor pre_used, Tensor dpre) {
    const int64_t T = s.x.shape[0], S = s.x.shape[1], C = s.x.shape[2];
    const Tensor dx = take(s.x.shape);
    s.dh = take({T, C}), s.dy = take({T, C}), s.dpre = take({T, S}), s.dpost = take({T, S}), s.dcomb = take({T, S, S});
    hyper_write_mix_backward(stream, {dx, s.dy, s.dpost, s.dcomb, dx_next, s.x, s.y, s.post, s.comb});
    s.inner.backward(s.dh, s.dy, s.h, s.y);
    if (pre_used.present()) hyper_read_backward(stream, {dx, s.dpre, s.dh, s.x, pre_used});
    hyper_coefficients_backward(
        stream, {dx, s.dfn, s.dbase, s.dscale, dpre, s.dpost, s.dcomb, pre_used.present() ? Tensor{} : s.dh, s.x, s.fn,
                 s.base, s.scale, s.mixes, s.rstd, s.options});
    return dx;
  }

  void expect_parameters(const Site& s, const json& v, const std::string& prefix) {
    expect(s.dfn, v[prefix + "fn"], "dfn");
    expect(s.dscale, v[prefix + "scale"], "dscale");
    expect(s.dbase, v[prefix + "base"], "dbase");
    expect(s.inner.dW, v[prefix + "W"], "dW");
  }

  int64_t streams = 4;
};

INSTANTIATE_TEST_SUITE_P(Devices, HyperSiteVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

TEST_P(HyperSiteVectors, MatchOneSublayer) {
  const nlohmann::json vectors = load_vectors("mhc_site.json");
  for (const auto& v : vectors["cases"]) {
    streams = v["n"];
    Site s = site(v, {{v["iters"], v["hc_eps"]}, v["norm_eps"], v["post_mult"]});
    forward(s, load(v["X"]), {});
    expect(s.mixes, v["mixes"], "mixes");
    expect(s.pre, v["pre"], "pre");
    expect(s.post, v["post"], "post");
    expect(s.comb, v["comb"], "comb");
    expect(s.h, v["layer_input"], "h");
    expect(s.y, v["layer_output"], "y");
    expect(s.x_next, v["out"], "x_next");
    const Tensor dx = backward(s, load(v["grad_out"]), {}, {});
    expect(s.dy, v["grad_layer_output"], "dy");
    expect(s.dh, v["grad_layer_input"], "dh");
    expect(s.dpost, v["grad_post"], "dpost");
    expect(s.dcomb, v["grad_comb"], "dcomb");
    expect(dx, v["grad_X"], "dx");
    expect_parameters(s, v, "grad_");
  }
}

// Reading apart from the coefficients gives what the fused form gives.
TEST_P(HyperSiteVectors, MatchOneSublayerReadApart) {
  const nlohmann::json vectors = load_vectors("mhc_site.json");
  for (const auto& v : vectors["cases"]) {
    streams = v["n"];
    Site s = site(v, {{v["iters"], v["hc_eps"]}, v["norm_eps"], v["post_mult"]});
    forward(s, load(v["X"]), load(v["pre"]));
    expect(s.x_next, v["out"], "x_next");
    const Tensor dx = backward(s, load(v["grad_out"]), s.pre, load(v["grad_pre"]));
    expect(s.dpre, v["grad_pre"], "dpre");
    expect(dx, v["grad_X"], "dx");
    expect_parameters(s, v, "grad_");
  }
}

TEST_P(HyperSiteVectors, MatchTwoBlocksWithALearnedHead) {
  const json v = load_vectors("mhc_stack.json");
  const Tensor emb = load(v["emb"]);
  const int64_t T = emb.shape[0], C = emb.shape[1], S = streams;
  std::vector<Site> sites;
  Tensor x = take({T, S, C});
  hyper_expand(stream, {x, emb});
  for (const auto& p : v["params"]) {
    sites.push_back(site(p, {}));
    forward(sites.back(), x, {});
    x = sites.back().x_next;
  }
  expect(x, v["v4"]["X_final"], "x");
  const Tensor fn = load(v["head"]["fn"]), base = load(v["head"]["base"]), scale = load(v["head"]["scale"]);
  const Tensor mixes = take({T, S}), rstd = take({T}), pre = take({T, S}), out = take({T, C});
  hyper_coefficients_forward(stream, {mixes, rstd, pre, {}, {}, out, x, fn, base, scale, {}});
  expect(out, v["v4"]["collapsed"], "collapsed");

  Tensor dx = take(x.shape);
  const Tensor dfn = take(fn.shape), dbase = take(base.shape), dscale = take(scale.shape), demb = take(emb.shape);
  hyper_coefficients_backward(
      stream, {dx, dfn, dbase, dscale, {}, {}, {}, load(v["grad_collapsed"]), x, fn, base, scale, mixes, rstd, {}});
  expect(dfn, v["v4"]["grad_head"]["fn"], "head dfn");
  expect(dbase, v["v4"]["grad_head"]["base"], "head dbase");
  expect(dscale, v["v4"]["grad_head"]["scale"], "head dscale");
  for (size_t k = sites.size(); k-- > 0;) {
    dx = backward(sites[k], dx, {}, {});
    expect_parameters(sites[k], v["v4"]["grads"][k], "");
  }
  hyper_collapse(stream, {demb, dx});
  expect(demb, v["v4"]["grad_emb"], "demb");
}

// Each sublayer reads with the coefficients of the one before, the first with stream 0, the collapse with the last.
TEST_P(HyperSiteVectors, MatchTwoBlocksOfTheSinglePassForm) {
  const json v = load_vectors("mhc_stack.json");
  const Tensor emb = load(v["emb"]);
  const int64_t T = emb.shape[0], C = emb.shape[1], S = streams;
  Tensor x = take({T, S, C});
  hyper_expand(stream, {x, emb});
  std::vector<Tensor> pre{take({T, S})};
  std::vector<double> one_hot(static_cast<size_t>(T * S));
  for (size_t t = 0; t < one_hot.size(); t += 4) one_hot[t] = 1;
  set_values(pre[0], one_hot);
  std::vector<Site> sites;
  for (const auto& p : v["params"]) {
    sites.push_back(site(p, {{}, 1e-20f, 2}));
    forward(sites.back(), x, pre.back());
    x = sites.back().x_next;
    pre.push_back(sites.back().pre);
  }
  const Tensor out = take({T, C});
  hyper_read_forward(stream, {out, x, pre.back()});
  expect(x, v["v41"]["X_final"], "x");
  expect(out, v["v41"]["collapsed"], "collapsed");

  Tensor dx = take(x.shape), dpre = take({T, S});
  const Tensor demb = take(emb.shape);
  hyper_read_backward(stream, {dx, dpre, load(v["grad_collapsed"]), x, pre.back()});
  for (size_t k = sites.size(); k-- > 0;) {
    dx = backward(sites[k], dx, pre[k], dpre);
    dpre = sites[k].dpre;
    expect_parameters(sites[k], v["v41"]["grads"][k], "");
  }
  hyper_collapse(stream, {demb, dx});
  expect(demb, v["v41"]["grad_emb"], "demb");
}

}  // namespace
}  // namespace birkhoff::test
