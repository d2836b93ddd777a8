#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// A bump allocator: take() is a pointer add, rewind() frees everything above a mark. No free list, and no allocation in
// a step once the arena has grown to its peak. On the meta device it only counts, so a dry run gives exact peak bytes.
//
// On the reference device every floating dtype asked for becomes f64.
// Growth: a chunk is added when the last one is full; reset() merges the chunks into one, so that the next pass of the
// same size stays within a single block.
class Arena {
 public:
  static constexpr size_t kAlignment = 64;

  explicit Arena(Device device, size_t capacity_bytes = 0);
  ~Arena();
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;

  // Makes room for so many bytes in one block, so that equal sequences of take() after a reset give equal addresses.
  // Only on an empty arena.
  void reserve(size_t bytes);

  // Uninitialized memory, valid until rewound or reset.
  Tensor take(DType dtype, Shape shape);

  struct Mark {
    size_t chunk = 0, used = 0;
  };
  Mark mark() const;
  void rewind(Mark mark);
  void reset();

  // Bytes taken now, and the most there ever were.
  size_t used_bytes() const;
  size_t peak_bytes() const;
  Device device() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Rewinds the arena to where it stood when the scope ends.
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
