#pragma once
#include "parallel/comm/communicator.h"

namespace birkhoff {

// Every collective on every dtype with odd, zero and large counts, several at once, in sub-groups, and messages.
// Results are compared bit by bit with a serial sum in rank order, so two backends that pass give the same bits.
// Collective: to be called by every rank of `comm`. Failures are reported through GoogleTest.
// Where the ranks are on several hosts, the expected sum is that of the hosts' serial sums: see `ranks_per_host`.
void check_all_reduce(Communicator& comm);
void check_all_gather(Communicator& comm);
void check_reduce_scatter(Communicator& comm);
void check_all_to_all(Communicator& comm);
void check_broadcast(Communicator& comm);
void check_messages(Communicator& comm);
void check_concurrent_works(Communicator& comm);
void check_split(Communicator& comm);
void check_agree(Communicator& comm);

// Consecutive ranks that share a host; 0: all. To be set before the checks.
inline int ranks_per_host = 0;

}  // namespace birkhoff
