#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// A bump allocator: take() advances a pointer, rewind() frees everything above a mark. There is no free list, and once
// the arena has grown to its peak, a step allocates nothing. On the meta device it only counts bytes, so a dry run
// gives the exact peak.
//
// On the reference device take() replaces every floating dtype by f64.
// Growth: a chunk is added when the last one is full; reset() merges the chunks into one, so that the next pass of the
// same size stays within a single block.
class Arena {
 public:
  static constexpr size_t kAlignment = 64;

  explicit Arena(Device device, size_t capacity_bytes = 0);
  ~Arena();
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;

  // Allocates one block of at least `bytes`, so that the same sequence of take() calls returns the same addresses after
  // every reset. The arena must be empty.
  void reserve(size_t bytes);

  // Uninitialized memory, valid until rewound or reset.
  Tensor take(DType dtype, Shape shape);

  // A position in the arena. Rewinding to it invalidates every tensor taken after it.
  struct Mark {
    size_t chunk = 0, used = 0;
  };
  Mark mark() const;
  void rewind(Mark mark);
  void reset();

  // Bytes in use now, and the largest number ever in use.
  size_t used_bytes() const;
  size_t peak_bytes() const;
  // All bytes that take() has handed out so far, also those that were released since.
  size_t taken_bytes() const;
  Device device() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// At the end of its scope, rewinds the arena to where it was at the beginning.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace birkhoff
