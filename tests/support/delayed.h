#pragma once
#include <cstdint>
#include <memory>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// A transport for tests: carries out the operations of `inner`, and of the groups split from it, later than they are
// started. An operation begins only after a number of turns that depends on the seed, the rank, the group and the
// number of the operation; fewer if its own rank waits for it. A turn is a call of progress() or done() or a round of
// wait() in any of the groups. Until it begins, no peer sees the input, and the output is as it was. So operations of
// different groups, and of different ranks, are over in another order than they were started in; those of one group
// keep their order.
//
// A correct program gets the same bits as without delays. One that reads an output before it waits gets other values,
// and one that waits for a peer without making progress in its other groups hangs.
//
// Every rank makes its own and uses it instead of `inner`, which must outlive it. On a failure it behaves like `inner`.
std::unique_ptr<Communicator> make_delayed(Communicator& inner, uint64_t seed);

}  // namespace birkhoff
