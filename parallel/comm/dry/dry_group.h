#pragma once
#include <map>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// Bytes that one rank sends to other ranks (Operation::count_sent), by the name of the group.
using Traffic = std::map<std::string, int64_t>;

// The place of one rank in a group.
struct GroupPlace {
  std::string name;
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  // among the ranks of the group on its host
};

// One rank of a group whose other ranks do not exist, to plan what a rank will hold and send. Every operation is over
// at once and changes nothing; `traffic`, which must outlive the group, counts what the rank would have sent. So
// tensors have to be those of the meta device. Of values on the host only a reduction makes sense: it returns this
// rank's own. Errors: BugError for other operations with data, and for a split, which has no other ranks to agree with.
std::unique_ptr<Communicator> make_dry_group(const GroupPlace& place, Traffic& traffic);

}  // namespace birkhoff
