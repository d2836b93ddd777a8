#include "parallel/pipeline/program.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using Kind = Action::Kind;

// Counts, for each chunk, the microbatches that have run F, I and W. Microbatches run in ascending order, so a count is
// also the index of the next microbatch.
class Progress {
 public:
  explicit Progress(const Program& program)
      : program_(&program), forward_(chunks()), input_(chunks()), weight_(chunks()) {}

  void apply(const Action& a) {
    BK_ASSERT(a.chunk >= 0 && a.chunk < program_->num_chunks, to_text(a), ": there is no such chunk");
    BK_ASSERT(a.microbatch >= 0 && a.microbatch < program_->num_microbatches, to_text(a), ": no such microbatch");
    if (a.kind == Kind::forward) {
      if (a.chunk > 0) require_done(forward_, a, a.chunk - 1, "the forward of the chunk before");
      advance(forward_, a);
      return;
    }
    if (a.kind != Kind::backward_weight) {
      require_done(forward_, a, a.chunk, "its forward");
      if (a.chunk + 1 < program_->num_chunks) require_done(input_, a, a.chunk + 1, "the backward of the chunk after");
      advance(input_, a);
    }
    if (a.kind != Kind::backward_input) {
      require_done(input_, a, a.chunk, "its backward to the input");
      advance(weight_, a);
    }
  }

  void end() const {
    const int all = program_->num_microbatches,
              backwards = *std::max_element(input_.begin(), input_.end()) > 0 ? all : 0;
    for (size_t c = 0; c < chunks(); ++c) {
      BK_ASSERT(forward_[c] == all, "chunk ", c, " lacks the F of microbatch ", forward_[c]);
      BK_ASSERT(input_[c] == backwards, "chunk ", c, " lacks the backward of microbatch ", input_[c]);
      BK_ASSERT(weight_[c] == backwards, "chunk ", c, " lacks the W of microbatch ", weight_[c]);
    }
  }

 private:
  using Counts = std::vector<int>;
  size_t chunks() const { return static_cast<size_t>(program_->num_chunks); }
  static void require_done(const Counts& done, const Action& a, int chunk, const char* what) {
    BK_ASSERT(done[static_cast<size_t>(chunk)] > a.microbatch, to_text(a), " comes before ", what);
  }
  static void advance(Counts& done, const Action& a) {
    int& next = done[static_cast<size_t>(a.chunk)];
    BK_ASSERT(next == a.microbatch, to_text(a), " is out of order: microbatch ", next, " is the next");
    ++next;
  }

  const Program* program_;
  Counts forward_, input_, weight_;
};

}  // namespace

std::string to_text(const Action& a) { return concat("FBIW"[static_cast<size_t>(a.kind)], a.chunk, '.', a.microbatch); }

Program sequential_program(int num_chunks, int num_microbatches) {
  Program program{num_chunks, num_microbatches, {}};
  for (int m = 0; m < num_microbatches; ++m) {
    for (int c = 0; c < num_chunks; ++c) program.actions.push_back({Kind::forward, c, m});
    for (int c = num_chunks; c-- > 0;) program.actions.push_back({Kind::backward, c, m});
  }
  return program;
}

Program forward_program(int num_chunks, int num_microbatches) {
  Program program{num_chunks, num_microbatches, {}};
  for (int m = 0; m < num_microbatches; ++m) {
    for (int c = 0; c < num_chunks; ++c) program.actions.push_back({Kind::forward, c, m});
  }
  return program;
}

void check_program(const Program& program) {
  BK_ASSERT(program.num_chunks > 0 && program.num_microbatches >= 0, program.num_chunks, " chunks");
  Progress progress(program);
  for (const Action& action : program.actions) progress.apply(action);
  progress.end();
}

}  // namespace birkhoff
