#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trainer/proof/rank.h"

namespace birkhoff {

// Rows of a parameter that are judged for themselves: a rule that a layout forgets may concern only them, and they may
// be so small a part of the tensor that its norm hides them.
struct RowRange {
  std::string name;  // "rotated"
  int64_t begin = 0, end = 0;
};

// How a tensor is judged.
struct Judged {
  std::string family;            // "attention latents"; errors are reported by family
  std::vector<RowRange> ranges;  // empty: only the whole tensor
  int64_t rows = 1;
  bool of_table = false;
};
// By name of the parameter or table.
std::map<std::string, Judged> families_of(const Config& config, const Model& model);

std::vector<std::string> tables_of(const std::map<std::string, Judged>& families);

// Gradients of one rank that are zero up to rounding: tensors, or ranges of rows, whose norm per square root of their
// elements is below `least` of the largest of their family.
std::vector<std::string> vanishing_gradients(const StepResult& one, const std::map<std::string, Judged>& families,
                                             double least);

// The bounds in f32, where the reference is one rank that started from the same state and made the same choices.
struct Bounds {
  double loss = 2e-6;      // losses, nats of an evaluation, norm; relative
  double gain = 2e-5;      // relative
  double gradient = 2e-5;  // norm of the difference over the norm, for each tensor and range
  // A tensor whose norm per square root of its elements is below this part of its family's largest is judged against
  // that largest, since it consists of little but rounding.
  double small = 1e-4;
  // Each gradient of the coefficients of a site is a sum over all tokens, and few of them make a tensor. So now and
  // then the whole tensor is as good as canceled. It counts as at least this part of its family's largest.
  double small_of_few = 1e-1;
  double vanished = 1e-7;  // of the largest of the family: no more than rounding

  // Of the reference device, which computes in f64.
  static Bounds reference() { return {1e-10, 1e-10, 1e-10, 1e-4, 1e-1, 1e-14}; }
  Bounds times(double factor) const {
    return {loss * factor, gain * factor, gradient * factor, small, small_of_few, vanished};
  }
};

// The norm of the difference of two vectors over the norm of the first; 0 if they are equal.
double relative_distance(std::span<const double> a, std::span<const double> b);

// The worst error of a family over its bound, and where.
struct Worst {
  double error = 0, bound = 0;
  std::string where;
  double ratio() const { return bound > 0 ? error / bound : 0; }
};
struct Verdict {
  std::map<std::string, Worst> worst;    // by family, and for "loss", "gradient norm" and so on
  std::vector<std::string> failures;     // one line each; empty: passed
  std::vector<std::string> small;        // tensors judged against the largest of their family
  std::vector<std::string> notes;        // what else is worth printing, one line each
  std::map<std::string, int64_t> exact;  // how much was compared exactly, by kind: "tokens", "touched rows"

  void compare(const std::string& family, const std::string& where, double error, double bound);
  void require(bool holds, const std::string& failure) {
    if (!holds) failures.push_back(failure);
  }
  // `place` is put before each failure if it is not empty.
  void add(const Verdict& other, const std::string& place = "");
};

// What is equal whatever a layout rounds and chooses: tokens, targets, rows that were touched, copies of weights.
Verdict judge_batch(const StepResult& one, const StepResult& layout);
// Judges a step of a layout against the same step of one rank, with the same choices of experts: what judge_batch()
// compares, loads and router biases exactly, then losses, norm, gain, and the gradient of every tensor.
Verdict judge_step(const StepResult& one, const StepResult& layout, const std::map<std::string, Judged>& families,
                   const Bounds& bounds);
// Judges only what rounding changes: losses, norm, gain and gradients. The proof's bounds stand on what this gives for
// one rank in f32 against the reference device.
Verdict judge_values(const StepResult& one, const StepResult& layout, const std::map<std::string, Judged>& families,
                     const Bounds& bounds);
// Judges a step in a recipe that rounds where another layout does not: counts exactly, and the gradients of each family
// by their distance from those of the reference device, which may be `factor` times that of one rank.
Verdict judge_recipe(const StepResult& one, const StepResult& layout, const StepResult& reference,
                     const std::map<std::string, Judged>& families, double factor);
// The state before an update and after it, where one rank made it of a layout's own gradients.
struct OwnUpdate {
  Whole before, after;
};
// Judges an update against that one: bitwise, except for tables under the balanced update, whose sums over columns are
// grouped by rank. What these tables and their momenta change by is equal within 1e-5 of the change.
Verdict judge_update(const OwnUpdate& expected, const StepResult& layout,
                     const std::vector<std::string>& balanced_tables);

}  // namespace birkhoff
