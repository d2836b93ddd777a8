#include "kernels/moe/permute.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "kernels/moe/expert_order.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

std::vector<int64_t> random_experts(int64_t pairs, int64_t E) {
  std::vector<int64_t> index;
  for (int64_t i = 0; i < pairs; ++i) {
    index.push_back(static_cast<int64_t>(Philox(3, 4).below(static_cast<uint64_t>(i), static_cast<uint64_t>(E))));
  }
  return index;
}

struct Size {
  int64_t T, K, C, E;
  int64_t gap = 0;  // every so many pairs, one has no row; 0: all have one

  std::vector<int64_t> experts() const {
    std::vector<int64_t> index = random_experts(T * K, E);
    for (size_t p = 0; gap > 0 && p < index.size(); p += static_cast<size_t>(gap)) index[p] = -1;
    return index;
  }
  int64_t rows() const {
    const std::vector<int64_t> index = experts();
    return T * K - std::count(index.begin(), index.end(), -1);
  }
};

class Permute : public testing::TestWithParam<Size> {
 protected:
  // A case that sorts by expert before it runs its op.
  static OpCase with_order(Size n) {
    OpCase c;
    c.index("index", n.experts(), DType::i32, {n.T, n.K});
    c.index_output("offsets", {n.E + 1}, DType::i64);
    c.index_output("row_of", {n.T, n.K}).index_output("token_of", {n.T * n.K});
    return c;
  }
  static void order(Stream& s, const Tensors& t) {
    expert_order(s, {t["offsets"], t["row_of"], t["token_of"], t["index"]});
  }

  static OpCase permute_case(Size n) {
    OpCase c = with_order(n);
    c.activation("x", {n.T, n.C}).output("rows", {n.rows(), n.C});
    c.forward([n](Stream& s, const Tensors& t) {
      order(s, t);
      permute_forward(s, {t["rows"], t["x"], t["token_of"].rows(0, n.rows())});
    });
    c.backward([](Stream& s, const Tensors& t) { permute_backward(s, {t["d_x"], t["d_rows"], t["row_of"]}); });
    return c;
  }

  enum class Gate { none, given };
  enum class Base { none, given };
  static OpCase combine_case(Size n, Gate gate, Base base) {
    OpCase c = with_order(n);
    c.activation("rows", {n.rows(), n.C}).output("y", {n.T, n.C});
    if (gate == Gate::given) c.parameter("gate", {n.T, n.K});
    if (base == Base::given) c.activation("base", {n.T, n.C});
    c.forward([](Stream& s, const Tensors& t) {
      order(s, t);
      combine_forward(s, {t["y"], t["rows"], t["gate"], t["base"], t["row_of"]});
    });
    c.backward([=](Stream& s, const Tensors& t) {
      const bool gated = gate == Gate::given;
      combine_backward(s, {.drows = t["d_rows"],
                           .dgate = t["d_gate"],
                           .dy = t["d_y"],
                           .rows = gated ? t["rows"] : Tensor{},
                           .gate = t["gate"],
                           .row_of = t["row_of"]});
      if (base == Base::given) set_values(t["d_base"], values_of(t["d_y"]));
    });
    return c;
  }

  static OpCase gate_case(Size n) {
    OpCase c = with_order(n);
    c.parameter("gate", {n.T, n.K}).output_f32("gate_rows", {n.rows()});
    c.forward([](Stream& s, const Tensors& t) {
      order(s, t);
      permute_gate_forward(s, {t["gate_rows"], t["gate"], t["row_of"]});
    });
    c.backward([](Stream& s, const Tensors& t) {
      permute_gate_backward(s, {t["d_gate"], t["d_gate_rows"], t["row_of"]});
    });
    return c;
  }
};

TEST_P(Permute, CpuEqualsReference) {
  const Size n = GetParam();
  permute_case(n).expect_cpu_equals_reference(n.K);
  gate_case(n).expect_cpu_equals_reference(1);
  for (const Gate gate : {Gate::none, Gate::given}) {
    for (const Base base : {Base::none, Base::given}) {
      combine_case(n, gate, base).expect_cpu_equals_reference(n.C + n.K);
    }
  }
}

TEST_P(Permute, BackwardMatchesFiniteDifferences) {
  const Size n = GetParam();
  permute_case(n).expect_gradients({"x"}, {"rows"});
  gate_case(n).expect_gradients({"gate"}, {"gate_rows"});
  combine_case(n, Gate::given, Base::given).expect_gradients({"rows", "gate", "base"}, {"y"});
  combine_case(n, Gate::none, Base::none).expect_gradients({"rows"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, Permute,
                         testing::Values(Size{0, 2, 4, 3}, Size{1, 1, 1, 1}, Size{5, 3, 7, 4}, Size{33, 2, 65, 5},
                                         Size{3, 2, 1100, 9}, Size{5, 3, 7, 4, 2}, Size{33, 2, 65, 5, 3},
                                         Size{9, 4, 5, 3, 5}, Size{4, 2, 8, 3, 1}));

TEST(ExpertOrder, IsStableAndInverse) {
  // There are more pairs than fit into one part, and experts without tokens.
  const int64_t T = 9001, K = 3, E = 7;
  auto experts = random_experts(T * K, E - 1);
  for (auto& e : experts) e += e >= 4;  // no token chooses expert 4
  Arena arena{Device{}};
  Stream stream;
  const ExpertOrderArgs a{arena.take(DType::i64, {E + 1}), arena.take(DType::i32, {T, K}),
                          arena.take(DType::i32, {T * K}), arena.take(DType::i32, {T, K})};
  set_values(a.index, {experts.begin(), experts.end()});
  expert_order(stream, a);
  const auto offsets = values_of(a.offsets), row_of = values_of(a.row_of), token_of = values_of(a.token_of);
  EXPECT_EQ(offsets.front(), 0);
  EXPECT_EQ(offsets.back(), T * K);
  EXPECT_EQ(offsets[4], offsets[5]);
  std::vector<double> next(offsets);
  for (size_t p = 0; p < row_of.size(); ++p) {
    ASSERT_EQ(row_of[p], next[static_cast<size_t>(experts[p])]++);
    ASSERT_EQ(token_of[static_cast<size_t>(row_of[p])], static_cast<double>(p / K));
  }
}

TEST(ExpertOrder, GivesNoRowToAPairWithoutAnExpert) {
  OpCase c;
  c.index("index", {-1, 1, 0, -1, 1, 1}, DType::i32, {3, 2});
  c.index_output("offsets", {4}, DType::i64).index_output("row_of", {3, 2}).index_output("token_of", {6});
  c.forward([](Stream& s, const Tensors& t) {
    expert_order(s, {t["offsets"], t["row_of"], t["token_of"], t["index"]});
  });
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    const auto result = [&](const char* name) { return c.result({kind, 0}, DType::f32, name); };
    EXPECT_THAT(result("offsets"), testing::ElementsAre(0, 1, 4, 4));
    EXPECT_THAT(result("row_of"), testing::ElementsAre(-1, 1, 0, -1, 2, 3));
    std::vector<double> token_of = result("token_of");
    token_of.resize(4);  // the others are not written
    EXPECT_THAT(token_of, testing::ElementsAre(1, 0, 2, 2));
  }
}

// The experts of pairs travel like gates, but are integers.
TEST(PermuteGate, MovesIntegers) {
  OpCase c;
  c.index("gate", {5, 6, 7, 8}, DType::i32, {2, 2}).index("row_of", {2, -1, 0, 1}, DType::i32, {2, 2});
  c.index_output("gate_rows", {3});
  c.forward([](Stream& s, const Tensors& t) { permute_gate_forward(s, {t["gate_rows"], t["gate"], t["row_of"]}); });
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    EXPECT_THAT(c.result({kind, 0}, DType::f32, "gate_rows"), testing::ElementsAre(7, 8, 5));
  }
}

TEST(ExpertOrder, RefusesAnExpertThatDoesNotExist) {
  Arena arena{Device{}};
  Stream stream;
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    stream.device.kind = kind;
    const ExpertOrderArgs a{arena.take(DType::i64, {3}), arena.take(DType::i32, {2, 1}), arena.take(DType::i32, {2}),
                            arena.take(DType::i32, {2, 1})};
    set_values(a.index, {0, 2});
    EXPECT_THROW(expert_order(stream, a), BugError);
  }
}

TEST(Combine, MayWriteOverItsBaseAndItsRows) {
  OpCase c;
  c.index("row_of", {1, 0, 2, 3}, DType::i32, {2, 2});
  c.activation("rows", {4, 70}).activation("y", {2, 70}).parameter("gate", {2, 2}).parameter("dgate", {2, 2});
  c.output("result", {2, 70}).output("drows", {4, 70});
  c.forward([](Stream& s, const Tensors& t) {
    set_values(t["result"], values_of(t["y"]));
    combine_forward(s, {t["result"], t["rows"], t["gate"], t["result"], t["row_of"]});
    set_values(t["drows"], values_of(t["rows"]));
    combine_backward(s, {.drows = t["drows"],
                         .dgate = t["dgate"],
                         .dy = t["y"],
                         .rows = t["drows"],
                         .gate = t["gate"],
                         .row_of = t["row_of"]});
  });
  c.expect_cpu_equals_reference(70);
}

TEST(Combine, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor y = arena.take(DType::f32, {2, 4}), rows = arena.take(DType::f32, {5, 4});
  const Tensor row_of = arena.take(DType::i32, {2, 2});
  EXPECT_THROW(combine_forward(stream, {y, rows, {}, {}, row_of}), UserError);
  EXPECT_THROW(permute_forward(stream, {rows, y, row_of}), UserError);
  set_values(row_of, {0, 1, 2, 3});
  EXPECT_THROW(combine_forward(stream, {y, rows.rows(0, 3), {}, {}, row_of}), BugError) << "row 3 of 3";
}

}  // namespace
}  // namespace birkhoff::test
