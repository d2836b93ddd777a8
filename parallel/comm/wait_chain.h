#pragma once
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/comm/layout_names.h"

namespace birkhoff {

// What one rank knew when its deadline passed.
struct RankDump {
  std::string waiting_for;     // Waiting::text of its trace
  std::vector<Wait> waits;     // Waiting::waits of its trace; empty if the rank waited for nobody
  std::string last_operation;  // the newest operation of its trace; empty if there is none
};

// The dumps of all ranks, by rank in the world. A rank without a dump is silent.
using RankDumps = std::vector<std::optional<RankDump>>;

// Ranks each of which waits for the next one, whatever the groups are in which they wait.
struct WaitChain {
  // What is known of the last rank, which is the root.
  enum class End : uint8_t {
    silent,    // it has no dump
    own_work,  // it waits for nobody
    joined,    // it waits in an operation whose missing ranks are not known, and no rank is silent
    cycle      // it waits for the first rank of the chain: the ranks call operations in different orders
  };
  std::vector<int> ranks;  // ranks of the world; at least one
  End end;
};

// Follows the waits that begin at rank `first`. If they lead to several roots, a silent rank is preferred to one in its
// own work, and that to one in an operation that all ranks have joined; among equal roots, the shortest chain is taken.
// If they lead to none, returns the ranks that wait for each other, which need not include `first`.
// An operation whose missing ranks are not known, or that all ranks have joined, counts as waiting for the silent
// ranks.
WaitChain follow_waits(const RankDumps& dumps, int first);

// The chain from `first`, then those from the other ranks, in their order, that lead to further roots: to a silent
// rank, to one in its own work, or to ranks that wait for each other. Usually there is one root.
std::vector<WaitChain> follow_all_waits(const RankDumps& dumps, int first);

// A sentence that names the root of each chain, what it was doing, and the operations in which the others wait. Gives
// at most kMostChains chains, and the number of the others.
inline constexpr size_t kMostChains = 4;
std::string describe(const std::vector<WaitChain>& chains, const RankDumps& dumps, const LayoutNames& names);

// One line for each rank, with a newline at the end of each.
std::string list_dumps(const RankDumps& dumps, const LayoutNames& names);

}  // namespace birkhoff
