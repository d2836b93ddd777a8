#pragma once
#include <memory>

#include "parallel/comm/engine/exchange.h"

namespace birkhoff {

// How blocks get from rank to rank.
enum class BlockPath : uint8_t {
  direct,  // ranks share an address space: peers read the offered memory directly
  staged,  // ranks share only the board: offered blocks are copied onto it
  lent     // like staged, but a rank may also read the memory of the others' processes: blocks that are lent stay there
};

// The shared memory of one group: counters, and two sets of headers and (if staged) areas, which even and odd steps use
// in turn. Two sets suffice: a rank writes the set of step k again in step k + 2, which it begins only when all ranks
// have posted step k + 1 and so have read step k.
class Board {
 public:
  // Space for the blocks that a rank offers in one step. An area must stay in the L2 cache: with 1 MiB, the speed drops
  // by half. Between 128 and 512 KiB it is the same. A group of n ranks takes 2 n areas of the memory of its host.
  static constexpr int64_t kArea_bytes = 256 << 10;

  // `memory` must hold bytes_for(ranks, path) zero bytes before the first rank uses it. All ranks share it.
  Board(std::shared_ptr<std::byte> memory, int ranks, BlockPath path);
  static size_t bytes_for(int ranks, BlockPath path);

  int ranks() const { return ranks_; }
  BlockPath path() const { return path_; }
  // Records a failure, unless one is recorded already. The next step of every rank throws it.
  void fail(const std::string& why) const noexcept;
  void throw_if_failed() const;

  struct Control;
  struct RankState;
  struct Offer;
  Control& control() const;
  RankState& state(int rank) const;
  // What `from` offers in a step: a header, and one offer for each rank.
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
