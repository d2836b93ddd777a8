#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// MPI's own collectives on the ranks of a group, to compare ours with them. Training does not use them, because MPI
// does not say in which order it adds (docs/decisions/reductions.md).
class MpiCalls {
 public:
  // Collective. `world` must have every rank of MPI_COMM_WORLD, in any order; that order becomes the order of the
  // ranks here. UserError if it has not.
  explicit MpiCalls(const Communicator& world);
  ~MpiCalls();
  MpiCalls(const MpiCalls&) = delete;
  MpiCalls& operator=(const MpiCalls&) = delete;

  // Runs the blocking MPI call of the operation: MPI_Allreduce, MPI_Reduce_scatter, MPI_Allgatherv or MPI_Alltoallv.
  // Its fields mean what they mean to Communicator::start, but the input of all_gather_v and the output of
  // reduce_scatter_v must lie apart from the other buffer. Every rank of the group calls it. Errors: BugError for
  // another operation, a type other than f32, another reduction than a sum, and counts of 2^31 or
  //         more; CommError if MPI fails.
  void run(const Operation& operation);

 private:
  struct Group;
  std::unique_ptr<Group> group_;
};

}  // namespace birkhoff
