#pragma once
#include <memory>
#include <string>

#include "parallel/comm/engine/collective.h"

namespace birkhoff {

// Carries out the collectives of one group, on one rank.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // `sequence` is the number of the collective in the group.
  virtual std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) = 0;
  // As Exchange::fail.
  virtual void fail(const std::string& why) noexcept = 0;
};

// Every rank exchanges with every other; reductions combine in rank order.
std::unique_ptr<Carrier> make_flat_carrier(std::unique_ptr<Exchange> exchange);

// For ranks of several hosts, where each host has consecutive ranks. A reduction combines the ranks of each host in
// rank order, then the hosts in their order. Only the leaders, which are the first ranks of the hosts, move data
// between hosts.
//   reduce_scatter_v  sum within the host, each rank one slice; slices to the leader; the leaders sum, each the part of
//                     its host; leader to ranks
//   all_gather_v      ranks to leader; leaders gather; leader to ranks
//   all_reduce        within the host; leaders; leader to ranks
//   broadcast         root to the ranks of its host; leaders; leader to the ranks of the other hosts
//   all_to_all_v      every rank with every other
// Cost:    a host sends only what one rank of it holds, whatever the number of its ranks. Meanwhile a leader keeps a
//          copy of that.
struct HostExchanges {
  std::unique_ptr<Exchange> host, leaders, all;  // leaders is null on the other ranks
  std::vector<int> host_sizes;                   // ranks of each host, in rank order
};
std::unique_ptr<Carrier> make_host_carrier(HostExchanges exchanges);

}  // namespace birkhoff
