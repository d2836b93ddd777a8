#pragma once
#include "parallel/comm/communicator.h"

namespace birkhoff {

// Checks every collective on every dtype with odd, zero and large counts, several at once, and in sub-groups; and
// messages. Results are compared bit by bit with a serial sum in rank order, so two backends that pass give the same
// bits.
// Collective: every rank of `comm` must call these. Failures are reported through GoogleTest. If the ranks are on
// several hosts, the expected sum is the sum of the hosts' serial sums: see `ranks_per_host`.
void check_all_reduce(Communicator& comm);
void check_all_gather(Communicator& comm);
void check_reduce_scatter(Communicator& comm);
void check_all_to_all(Communicator& comm);
void check_broadcast(Communicator& comm);
void check_messages(Communicator& comm);
void check_concurrent_works(Communicator& comm);
void check_split(Communicator& comm);
void check_agree(Communicator& comm);

// The number of consecutive ranks that share a host; 0 if all do. Must be set before the checks.
inline int ranks_per_host = 0;

}  // namespace birkhoff
