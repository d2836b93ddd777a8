#include "parallel/comm/wait_chain.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using End = WaitChain::End;

const std::optional<RankDump>& dump_of(const RankDumps& dumps, int rank) { return dumps[static_cast<size_t>(rank)]; }

bool contains(const std::vector<int>& ranks, int rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

std::vector<int> silent_ranks(const RankDumps& dumps) {
  std::vector<int> ranks;
  for (size_t r = 0; r < dumps.size(); ++r) {
    if (!dumps[r]) ranks.push_back(static_cast<int>(r));
  }
  return ranks;
}

// The ranks that `rank` waits for in one of its waits.
std::vector<int> awaited_in(const RankDumps& dumps, const Wait& wait, int rank) {
  std::vector<int> ranks;
  for (const int missing : wait.missing) {
    if (missing != rank && missing >= 0 && missing < static_cast<int>(dumps.size())) ranks.push_back(missing);
  }
  return ranks.empty() ? silent_ranks(dumps) : ranks;
}

std::vector<int> awaited_by(const RankDumps& dumps, int rank) {
  std::vector<int> ranks;
  if (!dump_of(dumps, rank)) return ranks;
  for (const Wait& wait : dump_of(dumps, rank)->waits) {
    for (const int next : awaited_in(dumps, wait, rank)) ranks.push_back(next);
  }
  return ranks;
}

// What the rank is as the end of a chain; nullopt if it waits for another rank.
std::optional<End> end_at(const RankDumps& dumps, int rank) {
  if (!dump_of(dumps, rank)) return End::silent;
  if (dump_of(dumps, rank)->waits.empty()) return End::own_work;
  if (awaited_by(dumps, rank).empty()) return End::joined;
  return std::nullopt;
}

// The ranks that waits lead to, nearest first. Sets the rank from which each of them was reached.
std::vector<int> reached_from(const RankDumps& dumps, int first, std::vector<int>& from) {
  std::vector<int> reached{first};
  for (size_t i = 0; i < reached.size(); ++i) {
    for (const int next : awaited_by(dumps, reached[i])) {
      if (contains(reached, next)) continue;
      from[static_cast<size_t>(next)] = reached[i];
      reached.push_back(next);
    }
  }
  return reached;
}

WaitChain cycle_from(const RankDumps& dumps, int first) {
  std::vector<int> ranks;
  for (int rank = first; !contains(ranks, rank); rank = awaited_by(dumps, rank).front()) ranks.push_back(rank);
  const int again = awaited_by(dumps, ranks.back()).front();
  ranks.erase(ranks.begin(), std::find(ranks.begin(), ranks.end(), again));
  return {ranks, End::cycle};
}

// "rank 0 waits for rank 2: operation 7 of group dp, ..."
std::string link(const RankDumps& dumps, int rank, int next) {
  for (const Wait& wait : dump_of(dumps, rank)->waits) {
    if (contains(awaited_in(dumps, wait, rank), next))
      return concat("rank ", rank, " waits for rank ", next, ": ", wait.text);
  }
  return "";
}

std::string describe_root(const WaitChain& chain, const RankDumps& dumps, const LayoutNames& names) {
  const int root = chain.ranks.back();
  const std::string rank = name_of_rank(root, static_cast<int>(dumps.size()), names);
  if (chain.end == End::silent)
    return concat(rank, ", which is silent: it is stopped or dead, or its deadline has not passed yet");
  if (chain.end == End::joined) return concat(rank, ", ", dump_of(dumps, root)->waiting_for);
  const std::string& last = dump_of(dumps, root)->last_operation;
  return concat(rank, ", which waits for no other rank", last.empty() ? "" : concat("; its last operation: ", last));
}

// Whether one of the chains ends at the same root, or goes around the same circle of ranks.
bool has_root(const std::vector<WaitChain>& chains, const WaitChain& chain) {
  return std::any_of(chains.begin(), chains.end(), [&](const WaitChain& other) {
    return other.end == chain.end && (chain.end == End::cycle ? contains(other.ranks, chain.ranks.front())
                                                              : other.ranks.back() == chain.ranks.back());
  });
}

std::string describe_cycle(const WaitChain& chain) {
  std::string ranks;
  for (const int rank : chain.ranks) ranks += concat(ranks.empty() ? "" : ", ", rank);
  return concat("ranks ", ranks, " wait for each other, since they call operations in different orders");
}

}  // namespace

WaitChain follow_waits(const RankDumps& dumps, int first) {
  std::vector<int> from(dumps.size(), first);
  const std::vector<int> reached = reached_from(dumps, first, from);
  for (const End end : {End::silent, End::own_work, End::joined}) {
    const auto root = std::find_if(reached.begin(), reached.end(), [&](int r) { return end_at(dumps, r) == end; });
    if (root == reached.end()) continue;
    std::vector<int> ranks{*root};
    while (ranks.back() != first) ranks.push_back(from[static_cast<size_t>(ranks.back())]);
    std::reverse(ranks.begin(), ranks.end());
    return {ranks, end};
  }
  return cycle_from(dumps, first);
}

std::vector<WaitChain> follow_all_waits(const RankDumps& dumps, int first) {
  std::vector<WaitChain> chains{follow_waits(dumps, first)};
  for (size_t r = 0; r < dumps.size(); ++r) {
    WaitChain chain = follow_waits(dumps, static_cast<int>(r));
    if (chain.end != End::joined && !has_root(chains, chain)) chains.push_back(std::move(chain));
  }
  return chains;
}

namespace {

std::string describe_one(const WaitChain& chain, const RankDumps& dumps, const LayoutNames& names, bool is_first) {
  const bool cycle = chain.end == End::cycle;
  const std::string begin =
      cycle ? (is_first ? "" : "also, ") : (is_first ? "the cause is in " : "a further cause is in ");
  std::string text = begin + (cycle ? describe_cycle(chain) : describe_root(chain, dumps, names));
  for (size_t i = 0; i + 1 < chain.ranks.size(); ++i)
    text += concat("; ", link(dumps, chain.ranks[i], chain.ranks[i + 1]));
  if (cycle) text += concat("; ", link(dumps, chain.ranks.back(), chain.ranks.front()));
  return text;
}

}  // namespace

std::string describe(const std::vector<WaitChain>& chains, const RankDumps& dumps, const LayoutNames& names) {
  std::string text;
  for (size_t i = 0; i < std::min(chains.size(), kMostChains); ++i)
    text += concat(i == 0 ? "" : "; ", describe_one(chains[i], dumps, names, i == 0));
  if (chains.size() > kMostChains) text += concat("; and ", chains.size() - kMostChains, " further causes");
  return text;
}

std::string list_dumps(const RankDumps& dumps, const LayoutNames& names) {
  std::string lines;
  for (size_t r = 0; r < dumps.size(); ++r)
    lines += concat("  ", name_of_rank(static_cast<int>(r), static_cast<int>(dumps.size()), names), ": ",
                    dumps[r] ? dumps[r]->waiting_for : "silent", "\n");
  return lines;
}

}  // namespace birkhoff
