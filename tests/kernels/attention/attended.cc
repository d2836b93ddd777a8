#include "tests/kernels/attention/attended.h"

#include <cmath>
#include <numeric>

#include "kernels/core/philox.h"

namespace birkhoff::test {
namespace {

constexpr Device kReference{DeviceKind::reference};

}  // namespace

double Heads::scale() const { return 1 / std::sqrt(static_cast<float>(Dqk)); }

AttentionMask Ranges::mask(const Tensors& t) const {
  return {.kind = kind, .key_begin = t["begin"], .key_end = t["end"], .document_offsets = offsets};
}

Ranges documents(const std::vector<int64_t>& lengths) {
  Ranges r{.kind = AttentionMask::Kind::causal_documents};
  r.offsets = {0};
  for (const int64_t length : lengths) {
    const int64_t start = r.num_keys;
    for (; r.num_keys < start + length; ++r.num_keys) r.add(start, r.num_keys + 1);
    r.offsets.push_back(static_cast<int32_t>(r.num_keys));
  }
  return r;
}

Ranges chunked_prefill(int64_t prefix, int64_t queries) {
  Ranges r{.num_keys = prefix + queries};
  for (int64_t t = 0; t < queries; ++t) r.add(0, prefix + t + 1);
  return r;
}

OpCase attention_case(const Heads& n, const Ranges& r) {
  const int64_t Tq = r.num_queries(), Tk = r.num_keys;
  OpCase c;
  c.activation("q", {Tq, n.H, n.Dqk}).activation("k", {Tk, n.Hkv, n.Dqk}).activation("v", {Tk, n.Hkv, n.Dv});
  c.index("begin", r.begin, DType::i32, {Tq});
  if (r.kind == AttentionMask::Kind::key_ranges) c.index("end", r.end, DType::i32, {Tq});
  c.output("o", {Tq, n.H, n.Dv}).statistic_output("lse", {Tq, n.H});
  c.forward([=](Stream& s, const Tensors& t) {
    attention_forward(
        s,
        {.o = t["o"], .lse = t["lse"], .q = t["q"], .k = t["k"], .v = t["v"], .mask = r.mask(t), .scale = n.scale()});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    attention_backward(s, {.dq = t["d_q"],
                           .dk = t["d_k"],
                           .dv = t["d_v"],
                           .d_o = t["d_o"],
                           .q = t["q"],
                           .k = t["k"],
                           .v = t["v"],
                           .o = t["o"],
                           .lse = t["lse"],
                           .mask = r.mask(t),
                           .scale = n.scale()});
  });
  return c;
}

Attended::Attended(const Heads& n, const Ranges& r, Device device, DType dtype, const Attended* judged)
    : heads_(n), ranges_(r), arena_(device), stream_{device} {
  const int64_t Tq = r.num_queries(), Tk = r.num_keys;
  for (const auto& [name, shape] : {std::pair<const char*, Shape>{"q", {Tq, n.H, n.Dqk}},
                                    {"k", {Tk, n.Hkv, n.Dqk}},
                                    {"v", {Tk, n.Hkv, n.Dv}},
                                    {"o", {Tq, n.H, n.Dv}}}) {
    for (const std::string prefix : {"", "d_"}) t_.set(prefix + name, arena_.take(dtype, shape));
  }
  t_.set("lse", arena_.take(device == kReference ? DType::f64 : DType::f32, {Tq, n.H}));
  t_.set("begin", arena_.take(DType::i32, {Tq}));
  set_values(t_["begin"], {r.begin.begin(), r.begin.end()});
  if (r.kind == AttentionMask::Kind::key_ranges) {
    t_.set("end", arena_.take(DType::i32, {Tq}));
    set_values(t_["end"], {r.end.begin(), r.end.end()});
  }
  std::vector<int64_t> all(static_cast<size_t>(std::max(Tq, Tk)));
  std::iota(all.begin(), all.end(), 0);
  for (const char* name : {"k", "v"}) fill(name, all);
  for (const char* name : {"q", "d_o"}) fill(name, r.rows.empty() ? all : r.rows);
  // What an op leaves unwritten is seen.
  for (const char* name : {"o", "lse", "d_q", "d_k", "d_v"}) {
    set_values(t_[name], std::vector<double>(static_cast<size_t>(t_[name].count()), NAN));
  }
  forward();
  o_ = values("o");
  lse_ = values("lse");
  if (judged) {
    set_values(t_["o"], judged->o_);
    set_values(t_["lse"], judged->lse_);
  }
  backward();
}

std::vector<double> Attended::values(const std::string& name) const {
  return name == "o" && !o_.empty() ? o_ : name == "lse" && !lse_.empty() ? lse_ : values_of(t_[name]);
}

// Row i of the tensor is row rows[i] of what is drawn.
void Attended::fill(const std::string& name, const std::vector<int64_t>& rows) {
  const Fill drawn = normal(key_of(name));
  const Tensor to = t_[name];
  const int64_t width = to.shape[1] * to.shape[2];
  std::vector<double> values;
  for (int64_t i = 0; i < to.count(); ++i) {
    const int64_t at = rows[static_cast<size_t>(i / width)] * width + i % width;
    values.push_back(static_cast<float>(bfloat16(static_cast<float>(drawn(at)))));
  }
  set_values(to, values);
}

void Attended::forward() {
  attention_forward(stream_, {.o = t_["o"],
                              .lse = t_["lse"],
                              .q = t_["q"],
                              .k = t_["k"],
                              .v = t_["v"],
                              .mask = ranges_.mask(t_),
                              .scale = heads_.scale()});
}

void Attended::backward() {
  attention_backward(stream_, {.dq = t_["d_q"],
                               .dk = t_["d_k"],
                               .dv = t_["d_v"],
                               .d_o = t_["d_o"],
                               .q = t_["q"],
                               .k = t_["k"],
                               .v = t_["v"],
                               .o = t_["o"],
                               .lse = t_["lse"],
                               .mask = ranges_.mask(t_),
                               .scale = heads_.scale()});
}

void Magnitudes::add(size_t at, double weight, double terms, double x) {
  rounded[at] += std::abs(weight * x);
  summed[at] += terms * std::abs(x);
}

std::map<std::string, Magnitudes> magnitudes(const Heads& n, const Ranges& r, const Attended& exact) {
  const auto q = exact.values("q"), k = exact.values("k"), v = exact.values("v"), o = exact.values("o");
  const auto d_o = exact.values("d_o"), lse = exact.values("lse");
  Magnitudes of_o(o.size()), of_dq(q.size()), of_dk(k.size()), of_dv(v.size());
  const size_t D = static_cast<size_t>(n.Dqk), V = static_cast<size_t>(n.Dv);
  const double scale = n.scale();
  for (int64_t t = 0; t < r.num_queries(); ++t) {
    for (int64_t h = 0; h < n.H; ++h) {
      const size_t row = static_cast<size_t>(t * n.H + h), query = static_cast<size_t>(t);
      for (int64_t j = r.begin[query]; j < r.end[query]; ++j) {
        const size_t key = static_cast<size_t>(j * n.Hkv + h / (n.H / n.Hkv));
        double score = 0, difference = 0, terms = 0;
        for (size_t d = 0; d < D; ++d) score += scale * q[row * D + d] * k[key * D + d];
        for (size_t d = 0; d < V; ++d) {
          const double left = d_o[row * V + d] * v[key * V + d], right = d_o[row * V + d] * o[row * V + d];
          difference += left - right;
          terms += std::abs(left) + std::abs(right);
        }
        const double p = std::exp(score - lse[row]);
        for (size_t d = 0; d < V; ++d) {
          of_o.add(row * V + d, p, p, v[key * V + d]);
          of_dv.add(key * V + d, p, p, d_o[row * V + d]);
        }
        for (size_t d = 0; d < D; ++d) {
          of_dq.add(row * D + d, scale * p * difference, scale * p * terms, k[key * D + d]);
          of_dk.add(key * D + d, scale * p * difference, scale * p * terms, q[row * D + d]);
        }
      }
    }
  }
  return {{"o", of_o}, {"d_q", of_dq}, {"d_k", of_dk}, {"d_v", of_dv}};
}

double worst_error(const std::vector<double>& a, const std::vector<double>& e, const Magnitudes& m, DType dtype,
                   double sum, Stored stored) {
  const double unit = dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    // Parts together are at most `rounded`.
    const double result = stored == Stored::once ? std::abs(e[i]) : m.rounded[i];
    const double allowed = unit * (m.rounded[i] + result) + sum * m.summed[i];
    const double difference = std::abs(a[i] - e[i]);
    if (!std::isfinite(difference)) return INFINITY;
    if (difference > 0) worst = std::max(worst, difference / allowed);
  }
  return worst;
}

}  // namespace birkhoff::test
