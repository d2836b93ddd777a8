#include "kernels/engram/conv.h"

#include <algorithm>
#include <iterator>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t T, S, C, K;  // T counts the rows of x
  int dilation;
  int64_t halo = 0;
};

// Documents of seven tokens. The first one began two tokens before the first row.
OpCase conv_case(Size n) {
  const auto [T, S, C, K, dilation, before] = n;
  const int step = dilation;
  const int64_t halo = before;
  std::vector<int64_t> start(static_cast<size_t>(T));
  for (size_t t = 0; t < start.size(); ++t) start[t] = static_cast<int64_t>((t + 2) / 7 * 7) - 2;
  OpCase c;
  c.activation("x", {T, S, C}).parameter("gain", {S, C}, normal(3, 0.2, 1)).parameter("weight", {S, C, K});
  c.index("document_start", start, DType::i32, {T});
  c.output("out", {T - halo, S, C}).statistic_output("rstd", {T, S});
  c.forward([step, halo](Stream& s, const Tensors& t) {
    set_values(t["out"], std::vector<double>(static_cast<size_t>(t["out"].count()), 0.5));
    engram_conv_forward(s, {.out = t["out"],
                            .rstd = t["rstd"],
                            .x = t["x"],
                            .gain = t["gain"],
                            .weight = t["weight"],
                            .document_start = t["document_start"],
                            .dilation = step,
                            .eps = 1e-5f,
                            .halo = halo});
  });
  c.backward([step, halo](Stream& s, const Tensors& t) {
    engram_conv_backward(s, {.dx = t["d_x"],
                             .dgain = t["d_gain"],
                             .dweight = t["d_weight"],
                             .dout = t["d_out"],
                             .x = t["x"],
                             .gain = t["gain"],
                             .weight = t["weight"],
                             .rstd = t["rstd"],
                             .document_start = t["document_start"],
                             .dilation = step,
                             .halo = halo});
  });
  return c;
}

class EngramConv : public testing::TestWithParam<Size> {};

TEST_P(EngramConv, CpuEqualsReference) {
  const Size n = GetParam();
  conv_case(n).expect_cpu_equals_reference(n.C + n.T + n.K, 4);
}

TEST_P(EngramConv, BackwardMatchesFiniteDifferences) {
  conv_case(GetParam()).expect_gradients({"x", "gain", "weight"}, {"out"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, EngramConv,
                         testing::Values(Size{0, 4, 8, 4, 3}, Size{3, 1, 7, 4, 3}, Size{20, 2, 9, 4, 2},
                                         Size{30, 4, 35, 3, 1}, Size{9, 2, 150, 2, 1}, Size{20, 2, 9, 4, 2, 6},
                                         Size{5, 1, 7, 4, 3, 5}, Size{13, 3, 140, 3, 2, 1}));

// The tensors of one call, over a run of the tokens of a text.
struct Outcome {
  Tensor out, rstd, dx, dgain, dweight;
};

// A text of T tokens in documents of unequal lengths, and its convolution in runs of tokens.
class Text {
 public:
  static constexpr int64_t T = 29, S = 2, C = 9, K = 4;
  static constexpr int kDilation = 2;

  explicit Text(DeviceKind kind) : arena_(Device{kind}), stream_{Device{kind}} {
    x_ = random({T, S, C}, 1);
    dout_ = random({T, S, C}, 2);
    gain_ = random({S, C}, 3);
    weight_ = random({S, C, K}, 4);
    for (const int64_t begin : {0, 1, 2, 12, 25}) {
      start_.resize(static_cast<size_t>(T), 0);
      std::fill(start_.begin() + begin, start_.end(), begin);
    }
  }

  // Of tokens [begin, end). The gradients of the parameters start at zero.
  Outcome run(int64_t begin, int64_t end) {
    const int64_t halo = std::min(begin, (K - 1) * kDilation), first = begin - halo;
    const Tensor x = x_.rows(first, end - first), start = arena_.take(DType::i32, {end - first});
    for (int64_t t = first; t < end; ++t) {
      start.as<int32_t>()[t - first] = static_cast<int32_t>(start_[static_cast<size_t>(t)] - first);
    }
    const Outcome r{take({end - begin, S, C}), take({end - first, S}), take(x.shape), take({S, C}), take({S, C, K})};
    for (const Tensor& zero : {r.out, r.dgain, r.dweight}) fill_zero(stream_, zero);
    engram_conv_forward(stream_, {.out = r.out,
                                  .rstd = r.rstd,
                                  .x = x,
                                  .gain = gain_,
                                  .weight = weight_,
                                  .document_start = start,
                                  .dilation = kDilation,
                                  .halo = halo});
    engram_conv_backward(stream_, {.dx = r.dx,
                                   .dgain = r.dgain,
                                   .dweight = r.dweight,
                                   .dout = dout_.rows(begin, end - begin),
                                   .x = x,
                                   .gain = gain_,
                                   .weight = weight_,
                                   .rstd = r.rstd,
                                   .document_start = start,
                                   .dilation = kDilation,
                                   .halo = halo});
    return r;
  }

 private:
  Tensor take(Shape shape) { return arena_.take(DType::f32, shape); }
  Tensor random(Shape shape, uint64_t key) {
    const Tensor t = take(shape);
    std::vector<double> values(static_cast<size_t>(t.count()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = normal(key)(static_cast<int64_t>(i));
    set_values(t, values);
    return t;
  }
  Arena arena_;
  Stream stream_;
  Tensor x_, dout_, gain_, weight_;
  std::vector<int64_t> start_;
};

void add_to(std::vector<double>& sum, int64_t at, const std::vector<double>& terms) {
  for (size_t i = 0; i < terms.size(); ++i) sum[static_cast<size_t>(at) + i] += terms[i];
}

// Runs of eleven tokens, of one, of none, and of the rest, whose halo spans two of the runs before.
class EngramConvRuns : public testing::TestWithParam<DeviceKind> {};

TEST_P(EngramConvRuns, AddUpToTheWholeText) {
  Text text(GetParam());
  const Outcome whole = text.run(0, Text::T);
  std::vector<double> out, dx(values_of(whole.dx).size()), dgain(values_of(whole.dgain).size()),
      dweight(values_of(whole.dweight).size());
  const int64_t ends[] = {0, 11, 12, 12, Text::T};
  for (size_t i = 0; i + 1 < std::size(ends); ++i) {
    const Outcome r = text.run(ends[i], ends[i + 1]);
    const auto part = values_of(r.out);
    out.insert(out.end(), part.begin(), part.end());
    add_to(dx, (ends[i + 1] - r.dx.shape[0]) * Text::S * Text::C, values_of(r.dx));
    add_to(dgain, 0, values_of(r.dgain));
    add_to(dweight, 0, values_of(r.dweight));
  }
  const double most = bound(GetParam() == DeviceKind::cpu ? DType::f32 : DType::f64, Text::T);
  EXPECT_EQ(out, values_of(whole.out));
  EXPECT_LE(scaled_error(dx, values_of(whole.dx)), most);
  EXPECT_LE(scaled_error(dgain, values_of(whole.dgain)), most);
  EXPECT_LE(scaled_error(dweight, values_of(whole.dweight)), most);
}

INSTANTIATE_TEST_SUITE_P(Devices, EngramConvRuns, testing::Values(DeviceKind::cpu, DeviceKind::reference),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

TEST(EngramConv, DoesNotDependOnTheNumberOfThreads) {
  const int threads = num_threads();
  for (const char* name : {"out", "d_x", "d_gain", "d_weight"}) {
    set_num_threads(1);
    const auto one = conv_case({101, 2, 150, 4, 3, 9}).result(Device{}, DType::bf16, name);
    set_num_threads(3);
    EXPECT_EQ(conv_case({101, 2, 150, 4, 3, 9}).result(Device{}, DType::bf16, name), one) << name;
  }
  set_num_threads(threads);
}

TEST(EngramConv, AZeroWeightAddsNothing) {
  OpCase c = conv_case({9, 2, 4, 4, 2});
  c.parameter("weight", {2, 4, 4}, constant(0));
  const auto out = c.result(Device{}, DType::f32, "out");
  EXPECT_EQ(out, std::vector<double>(72, 0.5));
}

TEST(EngramConv, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  const Tensor x = take({2, 2, 4}), start = arena.take(DType::i32, {2});
  const auto run = [&](Tensor weight, Tensor out, int64_t halo) {
    engram_conv_forward(stream, {.out = out,
                                 .rstd = take({2, 2}),
                                 .x = x,
                                 .gain = take({2, 4}),
                                 .weight = weight,
                                 .document_start = start,
                                 .halo = halo});
  };
  EXPECT_THROW(run(take({2, 3, 4}), x, 0), UserError);
  EXPECT_THROW(run(take({2, 4, 4}), x, 1), UserError) << "a halo has no row in out";
  EXPECT_THROW(run(take({2, 4, 4}), x.rows(0, 0), 3), UserError);
  EXPECT_THROW(run(take({2, 4, 4}), x, -1), UserError);
}

}  // namespace
}  // namespace birkhoff::test
