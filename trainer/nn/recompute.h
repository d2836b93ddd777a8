#pragma once
#include <memory>
#include <vector>

#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// A module that can rebuild what it left in the frame's transient memory, which ends with its output: from its input
// on, at the addresses that the forward used.
class ReplayedModule : public StateModule {
 public:
  virtual State replay(Frame& frame, State x) = 0;
};

// Around a module of which only the input is kept: it runs forward again before its backward. The weight gradients are
// computed in backward_input, since to put them off would keep what recomputation exists to save.
std::unique_ptr<StateModule> recompute(Build& build, std::unique_ptr<StateModule> inner);

// Consecutive modules of which the streams are rebuilt together, from the input of the first, before the backward of
// the last. What they keep in the frame's transient memory lives from the first one's forward to the last one's, and
// again from the replay to the first one's backward, so their weight gradients are computed in
// backward_input. A pipeline may cut between groups, never inside one.
class StreamGroup {
 public:
  // Bytes that one member takes of the transient memory for streams like `x`.
  using MemberBytes = size_t (*)(const Tensor& x);
  StreamGroup(Build& build, MemberBytes member_bytes);
  // The next member, to be used in the place of `inner`.
  std::unique_ptr<StateModule> add(std::unique_ptr<ReplayedModule> inner);
  int64_t size() const { return static_cast<int64_t>(state_->members.size()); }

 private:
  class Member;
  struct Shared {
    std::vector<ReplayedModule*> members;
    MemberBytes member_bytes;
    Slot<State> in;
    void begin(Frame& frame, State x) const;
    void replay(Frame& frame) const;
  };
  std::shared_ptr<Shared> state_;
};

// Blocks to a group so that the streams take least memory:
//   the g that minimizes  S ceil(B / g) + 2 g (S + 2)
// A group keeps its output, S C values a token; inside, each of its 2 g sublayers takes S + 2 times C values: streams,
// input, norm of it. In sublayers this is about sqrt(S 2 B / (S + 2)). Source: arXiv:2512.24880, equation 20.
int64_t best_stream_group(int64_t num_blocks, int64_t streams);

}  // namespace birkhoff
