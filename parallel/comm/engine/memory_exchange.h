#pragma once
#include <memory>

#include "parallel/comm/engine/exchange.h"

namespace birkhoff {

// How blocks get from rank to rank.
enum class BlockPath : uint8_t {
  direct,  // ranks share an address space: peers read the offered memory itself
  staged   // ranks share the board only: offered blocks are copied onto it
};

// The memory of one group: counters, and two sets of headers and (if staged) areas that steps use by turns. A rank
// writes the set of step k + 2 only when all have posted k + 1, and so have read k.
class Board {
 public:
  static constexpr int64_t kArea_bytes =
      512 << 10;  // a rank's blocks of one step; stays in the second-level cache: 1 MiB halves the speed

  // `memory` holds bytes_for(ranks, path) zeros before the first rank uses it, and is shared by all.
  Board(std::shared_ptr<std::byte> memory, int ranks, BlockPath path);
  static size_t bytes_for(int ranks, BlockPath path);

  int ranks() const { return ranks_; }
  BlockPath path() const { return path_; }
  // The first failure is kept; every rank's next step throws it.
  void fail(const std::string& why) const noexcept;
  void throw_if_failed() const;

  struct Control;
  struct RankState;
  struct Offer;
  Control& control() const;
  RankState& state(int rank) const;
  // What `from` offers: its header, and one offer for each rank.
  StepHeader& header(uint64_t step, int from) const;
  Offer& offer(uint64_t step, int from, int to) const;
  std::byte* area(uint64_t step, int rank) const;

 private:
  size_t slot(uint64_t step, int rank) const;

  std::shared_ptr<std::byte> memory_;
  int ranks_;
  BlockPath path_;
};

std::unique_ptr<Exchange> make_memory_exchange(Board board, int rank);

// A board on the heap, for ranks that are threads.
Board make_heap_board(int ranks, BlockPath path);

}  // namespace birkhoff
