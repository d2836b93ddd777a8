#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "parallel/comm/operation.h"

namespace birkhoff {

// Sent along with the blocks of every step, so that ranks that call different operations get an error instead of
// hanging.
struct StepHeader {
  uint64_t sequence = 0;  // collectives started in this group before this one
  Op op = Op::all_reduce;
  Reduce reduce = Reduce::sum;
  DType dtype = DType::f32;
  int32_t root = 0;         // of a broadcast, by its number in the world
  int64_t count = 0;        // elements of the larger side; 0 for all_to_all_v, where ranks differ
  uint64_t counts_key = 0;  // hash of the counts per rank
  int64_t rounds = 1;       // steps that this rank needs; all_to_all_v makes as many as the rank that needs most

  bool same_call(const StepHeader& o) const {
    return sequence == o.sequence && op == o.op && reduce == o.reduce && dtype == o.dtype && root == o.root &&
           count == o.count && counts_key == o.counts_key;
  }
};
static_assert(std::is_trivially_copyable_v<StepHeader>);

// The interface of a transport. In a step, every rank offers a block of bytes to every other rank and then sees what
// the others offered to it. All collectives are made of such steps (collective.h).
//
// The calls of a step: offer or offer_to_all, post, arrived until true, from or copy, release, reusable until true.
// Errors: arrived and reusable throw CommError if the group has failed.
class Exchange {
 public:
  struct Block {
    StepHeader header;
    const void* data = nullptr;
    int64_t bytes = 0;
  };

  virtual ~Exchange() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The largest block to one rank, and the largest block to all ranks together. Equal on all ranks.
  virtual int64_t block_bytes() const = 0;
  virtual int64_t common_block_bytes() const = 0;

  virtual void offer(int to, const void* data, int64_t bytes) = 0;
  virtual void offer_to_all(const void* data, int64_t bytes) = 0;
  // Whether lend() may be called: offers a block of any size that `to` reads with copy() only.
  virtual bool lends() const { return false; }
  virtual void lend(int, const void*, int64_t) {}
  virtual void post(const StepHeader& header) = 0;
  virtual bool arrived() = 0;
  virtual Block from(int rank) const = 0;  // `data` is null for a block that was lent
  // Copies the block from(rank) to memory of this rank. CommError if the memory of the other rank cannot be read.
  virtual void copy(int rank, void* to) const {
    const Block block = from(rank);
    if (block.bytes > 0) std::memcpy(to, block.data, static_cast<size_t>(block.bytes));
  }
  // Announces that this rank has read the blocks of the others.
  virtual void release() = 0;
  // Whether the offered memory may be overwritten. If so, the step is over.
  virtual bool reusable() = 0;
  // Whether `rank` has posted this rank's current step, and whether it has read what this rank offers in that step. Of
  // use only to say what a rank waits for. To be called with the mutex of the engine held, from any thread.
  virtual bool has_posted(int rank) const = 0;
  virtual bool has_released(int rank) const = 0;

  // Makes the next call on every rank throw CommError(why). Returns when no peer reads this rank's buffers any more.
  virtual void fail(const std::string& why) noexcept = 0;
};

}  // namespace birkhoff
