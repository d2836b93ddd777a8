#pragma once
#include <string>

#include "parallel/comm/traced.h"
#include "parallel/comm/wait_chain.h"

namespace birkhoff {

// Ranks whose deadline has passed tell each other what they wait for by files in the folder of the run, since their
// main threads may be in calls that do not return. Ranks of other hosts see the files if the hosts share that folder.

// The file of a rank: JSON with "rank", "size", "host", "layout" and "coordinates" (LayoutNames), "why", "waiting_for",
// "waits" (of objects {"text", "missing"}) and "operations" (Trace::to_json).
std::string dump_path(const std::string& folder, int rank);

// A rank when its deadline passes.
struct ExpiredRank {
  Communicator& world;
  const Trace& trace;
  std::string folder;  // for the dump; empty: none is written
  LayoutNames names;
};

// Writes the dump of this rank, and makes the folder if it is missing. Returns whether that worked.
bool write_dump(const ExpiredRank& rank, const Waiting& waiting, const std::string& why);

// Whether a rank below `rank` wrote its dump at about the same time as `rank`.
bool lower_rank_dumped(const std::string& folder, int rank);

// The dumps that the ranks of a world of `size` ranks wrote at about the same time as `rank`. Left out are those that
// are incomplete or that an earlier run left.
RankDumps read_dumps(const std::string& folder, int rank, int size);

}  // namespace birkhoff
