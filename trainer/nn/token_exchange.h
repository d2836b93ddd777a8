#pragma once
#include "trainer/nn/build.h"
#include "trainer/nn/frame.h"

namespace birkhoff {

// The exchanges at the borders of a layer that divides its features over the ranks of a tensor-parallel group. Outside
// of such layers a rank computes only its own run of the flat tokens (BatchView::own), which is 1/n of them on each of
// the n ranks of the group. A layer enters by gathering the tokens of all ranks, and leaves by summing the ranks'
// partial results, of which each rank receives its own tokens. In the backward the two change places.
//
// All functions are collective over the group. With one rank they return their argument. Several exchanges may be under
// way: all ranks must start them in the same order, and may wait for them in any. Ops that run between the start and
// the wait hide the exchange and the time until the slowest rank starts it. Source: Korthikanti et al. 2022,
// arXiv:2205.05198, section 4.2 (sequence parallelism).
class TokenExchange {
 public:
  explicit TokenExchange(const Build& build);

  int size() const { return group_ ? group_->size() : 1; }
  // An exchange that is under way. What it reads and writes must stay where it is until wait() has returned.
  class Started {
   public:
    // One that is done.
    explicit Started(Tensor result) : result_(result) {}
    // Returns the result. Called once.
    Tensor wait(Frame& frame);

   private:
    friend class TokenExchange;
    Communicator::Pending work_;
    Tensor received_, result_;
  };
  // gather() in two steps.
  Started start_gather(Frame& frame, Tensor own) const;
  // sum_gradient() in two steps. What it receives before it is rounded stays in gradient memory.
  Started start_sum_gradient(Frame& frame, Tensor partial) const;
  // Own tokens [T / n, ...] -> the tokens of all ranks [T, ...], in activation memory.
  Tensor gather(Frame& frame, Tensor own) const;
  // The same in gradient memory.
  Tensor gather_gradient(Frame& frame, Tensor own) const;
  // Partial results [T, ...] of every rank -> their sum for own tokens [T / n, ...], which `out` receives. The sum is
  // taken in the dtype of `partial` (bf16: in f32, rounded once), in the order of the ranks, and then converted.
  void sum_to(Frame& frame, Tensor out, Tensor partial) const;
  // The same, returning a new tensor of the activation dtype in gradient memory.
  Tensor sum_gradient(Frame& frame, Tensor partial) const;
  // The dtype of partial results: with one rank they are complete, so that of activations; else f32, so that the sum
  // over ranks rounds once.
  DType partial() const { return size() > 1 ? Precision::statistic() : activation_; }
  // Sums `values`, of which every rank has its own tokens' share, in place.
  void sum_over_ranks(Frame& frame, Tensor values) const;
  // The same part of every rank, [k, ...] -> [n, k, ...], one after the other.
  void gather_to(Stream& stream, Tensor all, Tensor own) const;
  // Summands of every rank for each rank's part, [n, k, ...] -> [k, ...].
  void scatter_sum_to(Stream& stream, Tensor own, Tensor all) const;
  int rank() const { return group_ ? group_->rank() : 0; }

 private:
  Communicator* group_ = nullptr;  // null: a module that is built alone
  DType activation_;
};

}  // namespace birkhoff
