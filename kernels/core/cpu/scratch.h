#pragma once
#include <algorithm>

#include "kernels/core/arena.h"

namespace birkhoff {

// Temporary elements of one call, taken from a thread-local arena, so nothing is allocated once the arena has grown.
// Uninitialized unless a fill value is given. The Scratch objects of a thread must be destroyed in reverse order of
// construction.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) : outermost_(arena().used_bytes() == 0), scope_(arena()), count_(count) {
    data_ = static_cast<T*>(arena().take(DType::u8, {count * static_cast<int64_t>(sizeof(T))}).data);
  }
  Scratch(int64_t count, T value) : Scratch(count) { std::fill_n(data_, count, value); }
  // The outermost scope leaves one block as large as the peak, so that the next call of this size allocates nothing.
  ~Scratch() {
    if (outermost_) arena().reset();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  int64_t size() const { return count_; }

 private:
  static Arena& arena() {
    thread_local Arena arena{Device{}};
    return arena;
  }
  bool outermost_;
  ArenaScope scope_;
  T* data_ = nullptr;
  int64_t count_;
};

}  // namespace birkhoff
