#pragma once
#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/engine/collective.h"

namespace birkhoff {

// Carries out the collectives of one group, on one rank.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const GroupNames& names() const = 0;
  // `sequence` is the number of the collective in the group.
  virtual std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) = 0;
  // As Exchange::fail.
  virtual void fail(const std::string& why) noexcept = 0;
};

// The names of a group of `ranks` ranks that is the world.
GroupNames names_of_world(int ranks);

// Every rank exchanges data directly with every other; reductions combine in rank order.
std::unique_ptr<Carrier> make_flat_carrier(std::unique_ptr<Exchange> exchange, GroupNames names);

// For ranks of several hosts, where each host has consecutive ranks. A reduction combines the ranks of each host in
// rank order, then the hosts in their order. Only the leaders, which are the first ranks of the hosts, move data
// between hosts.
//   reduce_scatter_v  each rank sums one slice over its host and sends it to the leader; each leader sums the blocks of
//                     its ranks over the hosts and sends them to its ranks
//   all_gather_v      the ranks of a host send their blocks to the leader; the leaders gather all blocks; each leader
//                     broadcasts them to its ranks
//   all_reduce        the ranks of a host reduce; the leaders reduce; each leader broadcasts the result to its ranks
//   broadcast         the root broadcasts within its host, then the leaders among each other, then the leaders of the
//                     other hosts to their ranks
//   all_to_all_v      every rank sends directly to every other
// Cost:    a host sends only as much data as one of its ranks holds, whatever the number of its ranks. During the
//          collective, the leader of a host keeps a copy of that data.
struct HostExchanges {
  std::unique_ptr<Exchange> host, leaders, all;  // leaders is null on the other ranks
  std::vector<int> host_sizes;                   // ranks of each host, in rank order
  GroupNames names;
};
std::unique_ptr<Carrier> make_host_carrier(HostExchanges exchanges);

}  // namespace birkhoff
