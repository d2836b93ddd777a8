#pragma once
#include <memory>
#include <string>

#include "parallel/comm/engine/collective.h"

namespace birkhoff {

// How the collectives of one group are carried out, on one rank.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // `sequence` counts the collectives of the group.
  virtual std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) = 0;
  // As Exchange::fail.
  virtual void fail(const std::string& why) noexcept = 0;
};

// Every rank with every other: combined in rank order.
std::unique_ptr<Carrier> make_flat_carrier(std::unique_ptr<Exchange> exchange);

// Ranks of several hosts, which are runs of consecutive ranks. A reduction combines the ranks of each host in rank
// order, then the hosts in their order; only the first ranks of the hosts, the leaders, move data between hosts.
//   reduce_scatter_v  sum within the host, each rank a slice; slices to the leader; leaders sum, each its host's part;
//                     leader to ranks
//   all_gather_v      ranks to leader; leaders gather; leader to ranks
//   all_reduce        within the host; leaders; leader to ranks
//   broadcast         root to the ranks of its host; leaders; leader to ranks
//   all_to_all_v      every rank with every other
// Cost: a host sends what one rank of it holds, whatever the number of its ranks; a leader keeps a copy of that
// meanwhile.
struct HostExchanges {
  std::unique_ptr<Exchange> host, leaders, all;  // leaders: null on other ranks
  std::vector<int> host_sizes;                   // ranks of each host, in rank order
};
std::unique_ptr<Carrier> make_host_carrier(HostExchanges exchanges);

}  // namespace birkhoff
