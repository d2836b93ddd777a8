#pragma once
#include <memory>
#include <vector>

#include "trainer/nn/build.h"
#include "trainer/nn/module.h"

namespace birkhoff {

// A module that can rebuild from its input what its forward put into the frame's transient memory, at the same
// addresses. Its output is the last of these tensors.
class ReplayedModule : public StateModule {
 public:
  virtual State replay(Frame& frame, State x) = 0;
};

// Wraps a module so that only its input is kept; its forward runs again before its backward. backward_input also
// computes the weight gradients, because deferring them would keep the memory that recomputation is meant to save.
std::unique_ptr<StateModule> recompute(Build& build, std::unique_ptr<StateModule> inner);

// Consecutive modules whose streams are rebuilt together: before the backward of the last member, the group is replayed
// from the input of the first. The members' tensors in the frame's transient memory are valid from the forward of the
// first member to the end of the forward of the last, and again from the replay to the end of the backward of the
// first. The weight gradients read these tensors, so backward_input computes them too. A pipeline may be cut between
// groups, never inside one.
class StreamGroup {
 public:
  // Bytes of transient memory that one member needs for streams of the shape and dtype of `x`.
  using MemberBytes = size_t (*)(const Tensor& x);
  StreamGroup(Build& build, MemberBytes member_bytes);
  // Makes `inner` the next member of the group. Use the returned module in its place.
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

// The number of blocks per group at which the streams take the least memory:
//   the g that minimizes  S ceil(B / g) + 2 g (S + 2)      for B blocks and S streams, in units of C values per token
// The first term is the output that each group keeps, S C values. The second term is what the 2 g sublayers of one
// group need: each needs the streams, its input and its normed input, (S + 2) C values. Counted in sublayers, the
// minimum is near sqrt(2 B S / (S + 2)). Source: arXiv:2512.24880, equation 20.
int64_t best_stream_group(int64_t num_blocks, int64_t streams);

}  // namespace birkhoff
