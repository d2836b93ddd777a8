#pragma once
#include <cstdint>
#include <limits>

namespace birkhoff::cpu {

// Keeps the `capacity` largest of the values offered so far, largest first; of equal values the one offered first wins.
// A NaN counts as minus infinity. Works by insertion: once full, nearly every offer ends after one comparison.
class TopK {
 public:
  TopK(int32_t* index, float* value, int64_t capacity) : index_(index), value_(value), capacity_(capacity) {}

  void offer(int32_t index, float value) {
    if (value != value) value = -std::numeric_limits<float>::infinity();
    if (size_ == capacity_ && !(value > value_[capacity_ - 1])) return;
    int64_t p = size_ < capacity_ ? size_++ : capacity_ - 1;
    for (; p > 0 && value > value_[p - 1]; --p) {
      value_[p] = value_[p - 1];
      index_[p] = index_[p - 1];
    }
    value_[p] = value;
    index_[p] = index;
  }

 private:
  int32_t* index_;
  float* value_;
  int64_t capacity_, size_ = 0;
};

}  // namespace birkhoff::cpu
