#include "kernels/attention/attention.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  int64_t H, Hkv, Dqk, Dv;
  std::vector<int64_t> lengths;  // of the documents
};

int64_t tokens(const Sizes& n) {
  int64_t T = 0;
  for (int64_t length : n.lengths) T += length;
  return T;
}

std::vector<int64_t> document_starts(const Sizes& n) {
  std::vector<int64_t> start;
  for (int64_t length : n.lengths)
    start.insert(start.end(), static_cast<size_t>(length), static_cast<int64_t>(start.size()));
  return start;
}

OpCase attention_case(const Sizes& n) {
  const int64_t T = tokens(n);
  const float scale = 1 / std::sqrt(static_cast<float>(n.Dqk));
  OpCase c;
  c.activation("q", {T, n.H, n.Dqk}).activation("k", {T, n.Hkv, n.Dqk}).activation("v", {T, n.Hkv, n.Dv});
  c.index("start", document_starts(n), DType::i32, {T}).output("o", {T, n.H, n.Dv}).statistic_output("lse", {T, n.H});
  c.forward([=](Stream& s, const Tensors& t) {
    attention_forward(s, {.o = t["o"],
                          .lse = t["lse"],
                          .q = t["q"],
                          .k = t["k"],
                          .v = t["v"],
                          .document_start = t["start"],
                          .scale = scale,
                          .max_length = 0});
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
                           .document_start = t["start"],
                           .scale = scale,
                           .max_length = 0});
  });
  return c;
}

// Forward and backward on one device over the inputs of attention_case, rounded to bf16 whatever the dtype. The
// backward reads o and lse, so a reference is given those of the run that it judges.
class Attended {
 public:
  Attended(const Sizes& n, Device device, DType dtype, const Attended* judged = nullptr)
      : n_(n), arena_(device), stream_{device} {
    const DType statistic = device.kind == DeviceKind::reference ? DType::f64 : DType::f32;
    const int64_t T = tokens(n);
    for (const auto& [name, shape] : {std::pair<const char*, Shape>{"q", {T, n.H, n.Dqk}},
                                      {"k", {T, n.Hkv, n.Dqk}},
                                      {"v", {T, n.Hkv, n.Dv}},
                                      {"o", {T, n.H, n.Dv}}}) {
      for (const std::string prefix : {"", "d_"}) t_.set(prefix + name, arena_.take(dtype, shape));
    }
    t_.set("lse", arena_.take(statistic, {T, n.H}));
    t_.set("start", arena_.take(DType::i32, {T}));
    for (const char* name : {"q", "k", "v", "d_o"}) fill(t_[name], normal(key_of(name)));
    const std::vector<int64_t> start = document_starts(n);
    set_values(t_["start"], {start.begin(), start.end()});
    attention_forward(stream_, {.o = t_["o"],
                                .lse = t_["lse"],
                                .q = t_["q"],
                                .k = t_["k"],
                                .v = t_["v"],
                                .document_start = t_["start"],
                                .scale = scale(),
                                .max_length = 0});
    o_ = values("o");
    lse_ = values("lse");
    if (judged) {
      set_values(t_["o"], judged->o_);
      set_values(t_["lse"], judged->lse_);
    }
    attention_backward(stream_, {.dq = t_["d_q"],
                                 .dk = t_["d_k"],
                                 .dv = t_["d_v"],
                                 .d_o = t_["d_o"],
                                 .q = t_["q"],
                                 .k = t_["k"],
                                 .v = t_["v"],
                                 .o = t_["o"],
                                 .lse = t_["lse"],
                                 .document_start = t_["start"],
                                 .scale = scale(),
                                 .max_length = 0});
  }
  std::vector<double> values(const std::string& name) const {
    return name == "o" && !o_.empty() ? o_ : name == "lse" && !lse_.empty() ? lse_ : values_of(t_[name]);
  }
  float scale() const { return 1 / std::sqrt(static_cast<float>(n_.Dqk)); }

 private:
  static void fill(Tensor to, const Fill& value) {
    std::vector<double> values;
    for (int64_t i = 0; i < to.count(); ++i) {
      values.push_back(static_cast<float>(bfloat16(static_cast<float>(value(i)))));
    }
    set_values(to, values);
  }

  Sizes n_;
  Arena arena_;
  Stream stream_;
  Tensors t_;
  std::vector<double> o_, lse_;
};

// What bounds the error of an output sum_j w[j] x[j]: a weight w, a probability or the gradient of a score, may be
// rounded to the dtype before the product. `rounded` is sum |w x|; `summed` is the same with the terms that w itself
// is a difference of.
struct Magnitudes {
  std::vector<double> rounded, summed;
  explicit Magnitudes(size_t count) : rounded(count), summed(count) {}
  void add(size_t at, double weight, double terms, double x) {
    rounded[at] += std::abs(weight * x);
    summed[at] += terms * std::abs(x);
  }
};

std::map<std::string, Magnitudes> magnitudes(const Sizes& n, const Attended& exact) {
  const auto q = exact.values("q"), k = exact.values("k"), v = exact.values("v"), o = exact.values("o");
  const auto d_o = exact.values("d_o"), lse = exact.values("lse"), start = exact.values("start");
  Magnitudes of_o(o.size()), of_dq(q.size()), of_dk(k.size()), of_dv(v.size());
  const size_t D = static_cast<size_t>(n.Dqk), V = static_cast<size_t>(n.Dv);
  const double scale = exact.scale();
  for (int64_t t = 0; t < tokens(n); ++t) {
    for (int64_t h = 0; h < n.H; ++h) {
      const size_t row = static_cast<size_t>(t * n.H + h);
      for (auto j = static_cast<int64_t>(start[static_cast<size_t>(t)]); j <= t; ++j) {
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

// Largest error relative to what the roundings of `dtype` allow, each element by itself.
double worst_error(const Attended& actual, const Attended& exact, const std::string& name, const Magnitudes& m,
                   DType dtype, double sum) {
  const double unit = dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
  const auto a = actual.values(name), e = exact.values(name);
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double allowed = unit * (m.rounded[i] + std::abs(e[i])) + sum * m.summed[i];
    const double difference = std::abs(a[i] - e[i]);
    if (!std::isfinite(difference)) return INFINITY;
    if (difference > 0) worst = std::max(worst, difference / allowed);
  }
  return worst;
}

class Attention : public testing::TestWithParam<Sizes> {};

TEST_P(Attention, CpuEqualsReferenceWithinTheRoundingOfItsWeights) {
  const Sizes n = GetParam();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Attended actual(n, Device{}, dtype), exact(n, Device{DeviceKind::reference}, DType::f64, &actual);
    const double sum = bound(DType::f32, tokens(n) + n.Dqk);
    EXPECT_LE(scaled_error(actual.values("lse"), exact.values("lse")), sum);
    for (const auto& [name, m] : magnitudes(n, exact)) {
      EXPECT_LE(worst_error(actual, exact, name, m, dtype, sum), 1) << name << ", " << dtype;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Attention,
                         testing::Values(Sizes{2, 1, 8, 4, {}}, Sizes{1, 1, 1, 1, {1}}, Sizes{3, 3, 7, 5, {3, 1, 9}},
                                         Sizes{4, 2, 16, 16, {64, 64}}, Sizes{2, 2, 24, 40, {65, 130}},
                                         Sizes{6, 1, 64, 64, {100, 301, 17}}, Sizes{2, 2, 192, 128, {70, 1, 1, 90}},
                                         Sizes{1, 1, 64, 64, {600}}, Sizes{3, 1, 34, 33, {1, 127, 64, 200, 2}}));

TEST(Attention, BackwardMatchesFiniteDifferences) {
  for (const Sizes& n : {Sizes{2, 2, 3, 5, {4, 1, 6}}, Sizes{4, 2, 4, 2, {7}}, Sizes{3, 1, 2, 3, {2, 5}}}) {
    attention_case(n).expect_gradients({"q", "k", "v"}, {"o"});
  }
}

TEST(Attention, DoesNotDependOnTheNumberOfThreads) {
  const int before = num_threads();
  // Whole ranges a thread, ranges left over, and one long document of one key head that all threads share.
  for (const Sizes& n :
       {Sizes{4, 2, 16, 8, {300, 280, 20}}, Sizes{3, 1, 8, 8, {700}}, Sizes{2, 1, 6, 5, {130, 1400}}}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      set_num_threads(1);
      const Attended one(n, Device{}, dtype);
      for (const int threads : {2, 5}) {
        set_num_threads(threads);
        const Attended many(n, Device{}, dtype);
        for (const char* name : {"o", "lse", "d_q", "d_k", "d_v"}) EXPECT_EQ(one.values(name), many.values(name));
      }
    }
  }
  set_num_threads(before);
}

// Keys and values of the first document change; the second must not notice.
TEST(Attention, DoesNotSeeOtherDocuments) {
  const Sizes both{1, 1, 8, 8, {40, 30}};
  OpCase plain = attention_case(both), loud = attention_case(both);
  loud.forward([](Stream& s, const Tensors& t) {
    for (int64_t i = 0; i < 40 * 8; ++i) t["k"].as<double>()[i] = t["v"].as<double>()[i] = 100;
    attention_forward(s, {.o = t["o"],
                          .lse = t["lse"],
                          .q = t["q"],
                          .k = t["k"],
                          .v = t["v"],
                          .document_start = t["start"],
                          .scale = 0.5f,
                          .max_length = 0});
  });
  plain.forward([](Stream& s, const Tensors& t) {
    attention_forward(s, {.o = t["o"],
                          .lse = t["lse"],
                          .q = t["q"],
                          .k = t["k"],
                          .v = t["v"],
                          .document_start = t["start"],
                          .scale = 0.5f,
                          .max_length = 0});
  });
  const Device reference{DeviceKind::reference};
  const auto a = plain.result(reference, DType::f32, "o"), b = loud.result(reference, DType::f32, "o");
  EXPECT_NE(a[0], b[0]);
  for (size_t i = 40 * 8; i < a.size(); ++i) EXPECT_EQ(a[i], b[i]);
}

TEST(Attention, SurvivesLargeScores) {
  OpCase c = attention_case({1, 1, 16, 8, {90}});
  c.forward([](Stream& s, const Tensors& t) {
    attention_forward(s, {.o = t["o"],
                          .lse = t["lse"],
                          .q = t["q"],
                          .k = t["k"],
                          .v = t["v"],
                          .document_start = t["start"],
                          .scale = 100.0f,
                          .max_length = 0});
  });
  for (double o : c.result(Device{}, DType::f32, "o")) EXPECT_TRUE(std::isfinite(o));
}

TEST(Attention, CountsItsWorkOnTheMetaDevice) {
  struct Counter : OpObserver {
    double total = 0;
    void begin(std::string_view) override {}
    void end() override {}
    void flops(double count) override { total += count; }
  } counter;
  Stream stream{Device{DeviceKind::meta}, nullptr, &counter};
  const Tensor q{nullptr, DType::bf16, {8, 4, 6}}, k{nullptr, DType::bf16, {8, 2, 6}},
      v{nullptr, DType::bf16, {8, 2, 3}};
  const Tensor o{nullptr, DType::bf16, {8, 4, 3}}, lse{nullptr, DType::f32, {8, 4}}, start{nullptr, DType::i32, {8}};
  attention_forward(stream,
                    {.o = o, .lse = lse, .q = q, .k = k, .v = v, .document_start = start, .scale = 1, .max_length = 4});
  EXPECT_EQ(counter.total, 2.0 * 4 * (6 + 3) * 8 * (4 + 1) / 2);
  EXPECT_THROW(
      attention_forward(
          stream, {.o = o, .lse = lse, .q = q, .k = k, .v = k, .document_start = start, .scale = 1, .max_length = 4}),
      UserError);
}

}  // namespace
}  // namespace birkhoff::test
