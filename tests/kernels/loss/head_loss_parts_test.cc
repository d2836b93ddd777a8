// The head of ranks that divide the vocabulary, against the head of one rank.
#include <algorithm>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/loss/head_loss.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t T, C, V;
};

struct Results {
  std::vector<double> loss, nll, dx, dhead;
};

// The tokens and the whole head, from which parts are run one after the other.
class Heads {
 public:
  Heads(DeviceKind kind, Recipe recipe, Size size)
      : n_(size), recipe_(recipe), arena_(Device{kind}), stream_{Device{kind}} {
    x_ = random(Precision(recipe).activation(), {n_.T, n_.C}, 1);
    head_ = random(DType::f32, {n_.V, n_.C}, 2);
    weight_ = arena_.take(DType::f32, {n_.T});
    targets_ = arena_.take(DType::i32, {n_.T});
    std::vector<double> weights, targets;
    for (int64_t t = 0; t < n_.T; ++t) {
      weights.push_back(0.25 * static_cast<double>(1 + t % 3));
      targets.push_back(static_cast<double>(t % 4 == 1 ? -1 : t * 37717 % n_.V));
    }
    set_values(weight_, weights);
    set_values(targets_, targets);
  }

  Results whole() { return run(0, n_.V, nullptr); }

  // The sums and joined results of n parts. The statistics of a part do not depend on those of others, so they are
  // collected in a first pass and handed out in a second.
  Results parts(int64_t n) {
    std::vector<std::vector<std::vector<double>>> statistics(static_cast<size_t>(n));  // by part and chunk
    Results sum;
    for (const bool second : {false, true}) {
      for (int64_t i = 0; i < n; ++i) {
        size_t chunk = 0;
        VocabularyPart part = part_of(i, n);
        part.gather = [&](Stream&, Tensor all, Tensor own) {
          auto& collected = statistics[static_cast<size_t>(i)];
          if (!second) collected.push_back(values_of(own));
          std::vector<double> values;
          for (int64_t p = 0; p < n; ++p) {
            const auto& from = statistics[static_cast<size_t>(second ? p : i)].at(chunk);
            values.insert(values.end(), from.begin(), from.end());
          }
          EXPECT_EQ(all.shape, Shape({n, own.shape[0], 3}));
          set_values(all, values);
          ++chunk;
        };
        const Results r = run(part.first, part_of(i + 1, n).first, &part);
        EXPECT_EQ(chunk, statistics[static_cast<size_t>(i)].size());
        if (second) add(sum, r, i);
      }
    }
    return sum;
  }

 private:
  // Runs of ids and of counted rows whose sizes differ by one at most.
  VocabularyPart part_of(int64_t i, int64_t n) const {
    VocabularyPart p;
    p.first = i * n_.V / n;
    p.vocabulary = n_.V;
    p.num_parts = n;
    p.counted_begin = i * n_.T / n;
    p.counted = (i + 1) * n_.T / n - p.counted_begin;
    return p;
  }

  Results run(int64_t begin, int64_t end, const VocabularyPart* part) {
    const ArenaScope scope(arena_);
    // A part without ids does not use its products.
    const auto gemms = Precision(recipe_).linear(std::max<int64_t>(end - begin, 1), n_.C, GemmRole::head);
    const Tensor loss = arena_.take(DType::f32, {1}), nll = arena_.take(DType::f32, {n_.T});
    const Tensor dx = arena_.take(x_.dtype, x_.shape), dhead = arena_.take(DType::f32, {end - begin, n_.C});
    fill_zero(stream_, loss);
    fill_zero(stream_, dhead);
    fill(stream_, dx, 7);  // which must be overwritten, also by a part without ids
    fill(stream_, nll, 7);
    head_loss(stream_, arena_, *gemms,
              {.loss = loss,
               .nll = nll,
               .dx = dx,
               .dhead = dhead,
               .x = x_,
               .targets = targets_,
               .weight = weight_,
               .head = {head_.rows(begin, end - begin), 1, {}},
               .z_loss = 1e-2,
               .part = part});
    return {values_of(loss), values_of(nll), values_of(dx), values_of(dhead)};
  }

  // Adds the results of part i. Every part has the nll of all rows.
  static void add(Results& sum, const Results& r, int64_t i) {
    if (i == 0) {
      sum = r;
      return;
    }
    EXPECT_EQ(sum.nll, r.nll);
    sum.loss[0] += r.loss[0];
    for (size_t k = 0; k < sum.dx.size(); ++k) sum.dx[k] += r.dx[k];
    sum.dhead.insert(sum.dhead.end(), r.dhead.begin(), r.dhead.end());
  }

  Tensor random(DType dtype, Shape shape, uint64_t key) {
    const Tensor t = arena_.take(dtype, shape);
    std::vector<double> values(static_cast<size_t>(t.count()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = normal(key)(static_cast<int64_t>(i));
    set_values(t, values);
    return t;
  }

  Size n_;
  Recipe recipe_;
  Arena arena_;
  Stream stream_;
  Tensor x_, head_, weight_, targets_;
};

void expect_near(const Results& actual, const Results& expected, double bound) {
  EXPECT_LE(scaled_error(actual.loss, expected.loss), bound) << "loss";
  EXPECT_LE(scaled_error(actual.nll, expected.nll), bound) << "nll";
  EXPECT_LE(scaled_error(actual.dx, expected.dx), bound) << "dx";
  EXPECT_LE(scaled_error(actual.dhead, expected.dhead), bound) << "dhead";
}

// An odd vocabulary, and one with fewer ids than parts.
const Size kSizes[] = {{0, 4, 9}, {13, 5, 9}, {6, 3, 2}};

TEST(HeadLossOfParts, AddsUpToThatOfTheWholeVocabulary) {
  for (const Size& size : kSizes) {
    Heads exact(DeviceKind::reference, Recipe::f32, size), f32(DeviceKind::cpu, Recipe::f32, size);
    const Results expected = exact.whole();
    for (const int64_t n : {1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << size.T << " rows, " << size.V << " ids in " << n << " parts");
      expect_near(exact.parts(n), expected, bound(DType::f64, size.V));
      expect_near(f32.parts(n), expected, 4 * bound(DType::f32, size.T + size.V));
    }
  }
}

// Of more than 32768 ids a part, a chunk has 64 rows. The second part counts rows of both chunks.
TEST(HeadLossOfParts, AddsUpOverSeveralChunksOfRows) {
  const Size size{66, 2, 2 * 32768 + 1};
  ASSERT_EQ(head_loss_rows((size.V + 1) / 2), 64);
  Heads heads(DeviceKind::cpu, Recipe::f32, size);
  expect_near(heads.parts(2), heads.whole(), 4 * bound(DType::f32, size.T + size.V));
}

TEST(HeadLossOfParts, HasTheBitsOfTheFusedOpWhereOnePartIsTheWhole) {
  for (const Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    for (const Size& size : kSizes) {
      Heads heads(DeviceKind::cpu, recipe, size);
      const Results part = heads.parts(1), whole = heads.whole();
      EXPECT_EQ(part.loss, whole.loss) << size.V;
      EXPECT_EQ(part.nll, whole.nll) << size.V;
      EXPECT_EQ(part.dx, whole.dx) << size.V;
      EXPECT_EQ(part.dhead, whole.dhead) << size.V;
    }
  }
}

TEST(HeadLossOfParts, RefusesAPartOutsideTheVocabularyAndRowsThatDoNotExist) {
  Arena arena{Device{DeviceKind::meta}};
  Stream stream{arena.device()};
  const auto gemms = Precision(Recipe::f32).linear(8, 4, GemmRole::head);
  VocabularyPart part{.vocabulary = 16, .num_parts = 2, .counted = 3, .gather = [](Stream&, Tensor, Tensor) {}};
  const auto run = [&] {
    head_loss(stream, arena, *gemms,
              {.loss = arena.take(DType::f32, {1}),
               .nll = {},
               .dx = {},
               .dhead = {},
               .x = arena.take(DType::f32, {3, 4}),
               .targets = arena.take(DType::i32, {3}),
               .weight = arena.take(DType::f32, {3}),
               .head = {arena.take(DType::f32, {8, 4})},
               .part = &part});
  };
  EXPECT_NO_THROW(run());
  part.first = 9;
  EXPECT_THROW(run(), UserError);
  part.first = 8;
  part.counted_begin = 1;
  EXPECT_THROW(run(), UserError);
  part.counted_begin = 0;
  part.vocabulary = 24;
  EXPECT_NO_THROW(run());
  part.num_parts = 4;
  EXPECT_THROW(run(), UserError) << "a quarter of 24 ids is 6, so a chunk of rows would be too long for 8";
}

}  // namespace
}  // namespace birkhoff::test
