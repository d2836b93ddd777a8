#pragma once
#include <cstdint>
#include <string>
#include <type_traits>

#include "parallel/comm/operation.h"

namespace birkhoff {

// What every rank says beside its blocks, so that ranks that call different operations find out instead of hanging.
struct StepHeader {
  uint64_t sequence = 0;  // collectives started in this group before this one
  Op op = Op::all_reduce;
  Reduce reduce = Reduce::sum;
  DType dtype = DType::f32;
  int32_t root = 0;
  int64_t count = 0;        // elements of the larger side; 0 for all_to_all_v, where they differ
  uint64_t counts_key = 0;  // of the counts per rank
  int64_t rounds = 1;       // steps this rank needs; in all_to_all_v the largest counts

  bool same_call(const StepHeader& o) const {
    return sequence == o.sequence && op == o.op && reduce == o.reduce && dtype == o.dtype && root == o.root &&
           count == o.count && counts_key == o.counts_key;
  }
};
static_assert(std::is_trivially_copyable_v<StepHeader>);

// The one thing a transport must do: a step in which every rank offers a block of bytes to every other rank and then
// sees what the others offered to it. All collectives are made of such steps (collective.h).
//
// A step: offer or offer_to_all, post, arrived until true, from, release, reusable until true.
// Errors: arrived and reusable throw CommError when the group has failed.
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
  // The largest block to one rank, and to all ranks together. Equal on all ranks.
  virtual int64_t block_bytes() const = 0;
  virtual int64_t common_block_bytes() const = 0;

  virtual void offer(int to, const void* data, int64_t bytes) = 0;
  virtual void offer_to_all(const void* data, int64_t bytes) = 0;
  virtual void post(const StepHeader& header) = 0;
  virtual bool arrived() = 0;
  virtual Block from(int rank) const = 0;
  // This rank has read its blocks.
  virtual void release() = 0;
  // Whether what was offered may be overwritten.
  virtual bool reusable() = 0;
  // Whether `rank` has posted the step that this rank has posted. Thread-safe.
  virtual bool has_posted(int rank) const = 0;

  // Makes every rank's next call throw CommError(why), and returns when no peer reads this rank's buffers any more.
  virtual void fail(const std::string& why) noexcept = 0;
};

}  // namespace birkhoff
