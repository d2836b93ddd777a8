#pragma once
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// MPI from start to finish of the process: the constructor initialises it with full thread support, the destructor
// finalises it, unless an exception is being unwound or a peer failed (finalising would wait for it).
// Started without mpirun, the world is one rank.
class MpiWorld {
 public:
  // UserError if a launcher announced several ranks but MPI sees one ("N singletons": built against another MPI).
  MpiWorld();
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;
  Communicator& world() { return *world_; }

 private:
  int exceptions_at_start_ = 0;
  std::unique_ptr<Communicator> world_;
};

}  // namespace birkhoff
