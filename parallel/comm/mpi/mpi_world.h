#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// MPI from start to finish of the process: the constructor initializes it with full thread support, the destructor
// finalizes it, except while an exception unwinds: peers may be waiting, and finalizing would wait for them.
// Started without mpirun, the world is one rank. Ranks of one host exchange through shared memory, hosts by messages;
// the environment variable BIRKHOFF_TRANSPORT=messages forces messages everywhere, host_pairs takes every two ranks for
// a host.
//
// abort(why, code) ends every process of the run. Seen with mpirun 4.1.4: it returns that code, and that of a rank
// which exits by itself with another than 0; it returns 137 when a rank is killed by SIGKILL, and ends the others
// itself. In two of about sixty aborted runs it hung or crashed after all ranks are gone: scripts give it a `timeout
// -k`.
class MpiWorld {
 public:
  // UserError if a launcher announced several ranks but MPI sees one, or on an unknown BIRKHOFF_TRANSPORT.
  MpiWorld();
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;
  Communicator& world() { return *world_; }

 private:
  std::unique_ptr<Communicator> world_;
};

}  // namespace birkhoff
