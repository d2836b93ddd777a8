#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// Owns MPI for the life of the process. The constructor initializes it with full thread support. The destructor
// finalizes it, except while an exception unwinds: peers may be waiting for this rank, and finalizing would wait for
// them. Without mpirun, the world is one rank. Ranks of one host exchange data through shared memory. Hosts exchange
// data by messages. The environment variable BIRKHOFF_TRANSPORT=messages forces messages everywhere; host_pairs treats
// each pair of consecutive ranks as one host; dealt_pairs makes as many hosts, among which the launcher has dealt out
// the ranks one by one.
//
// world() has all ranks that MPI started. The ranks of a host are consecutive in it, whatever the launcher's mapping
// is, and keep their order; the hosts are in the order of their lowest ranks. So a rank may have another number than
// its launcher gave it, except rank 0. Everything above, such as logs, metrics and checkpoints, uses the number in
// world().
//
// abort(why, code) ends every process of the run. mpirun 4.1.4 was observed to behave as follows: it returns that code,
// or the code of a rank that exits by itself with a code other than 0. If a rank is killed by SIGKILL, it returns 137
// and ends the other ranks. In two of about sixty aborted runs it hung or crashed after all ranks were gone, so scripts
// run it under `timeout -k`.
class MpiWorld {
 public:
  // UserError if a launcher announced several ranks but MPI sees only one, or if BIRKHOFF_TRANSPORT has an unknown
  // value.
  MpiWorld();
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;
  Communicator& world() { return *world_; }

 private:
  std::unique_ptr<Communicator> world_;
};

}  // namespace birkhoff
