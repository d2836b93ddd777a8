#pragma once
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/hash.h"
#include "parallel/shard/state.h"
#include "tests/support/rank_of.h"

namespace birkhoff {

// The state of one of several ranks, with a tensor of every kind. The contents are a function of the seed and of the
// position in the logical tensor, so that every rank knows what it must hold however many ranks there are. All bit
// patterns occur except those of values that are not finite, which no checkpoint may hold; spoil() writes one.
class RankedState {
 public:
  RankedState(int rank, int ranks, int64_t seed = 0) : rank_(rank), ranks_(ranks), holders_(rank, ranks) { fill(seed); }

  void state(StateVisitor& v) {
    replicated(v, "model.matrix", DType::f32, {7, 1301});
    replicated(v, "model.half", DType::bf16, {33});
    replicated(v, "model.scalar", DType::f32, {});
    replicated(v, "model.nothing", DType::f32, {0, 4});
    shard(v, "model.table", DType::bf16, {401, 3});
    shard(v, "adamw.m.matrix", DType::f32, {7, 1301});
    shard(v, "adamw.v.pair", DType::f64, {2});  // fewer elements than ranks
    shard(v, "counts", DType::i64, {5, 3, 3});
    shard(v, "bytes", DType::u8, {17});
    shard(v, "indices", DType::i32, {0});
    columns(v, "model.columns", DType::f32, {5, 1201});
    v.integer("steps", integer);
    v.integer("least", least);
    for (size_t i = 0; i < reals.size(); ++i) v.real("real." + std::to_string(i), reals[i]);
    v.text("cursor", text);
  }
  std::function<void(StateVisitor&)> visitor() {
    return [this](StateVisitor& v) { state(v); };
  }

  void fill(int64_t seed) {
    seed_ = seed;
    integer = seed * 1'000'003;
    least = seed < 0 ? INT64_MIN : INT64_MIN + seed;
    reals.clear();
    for (const uint64_t bits : {0x0ull, 0x8000000000000000ull, 0x8000000000000001ull, 0x000fffffffffffffull,
                                0x3ff8dead0000beefull, 0x1ull, 0x3fb999999999999aull, 0x7feffffffffffffeull}) {
      double value;
      const uint64_t changed = bits ^ static_cast<uint64_t>(seed & 1);
      std::memcpy(&value, &changed, sizeof value);
      reals.push_back(value);
    }
    text = "line\n\"quoted\" \\ \t \x01 Straße " + std::to_string(seed);
    for (auto& [name, held] : tensors_) held.write(name, seed);
  }

  // Names whose contents differ in any bit from what fill(seed) gives.
  std::vector<std::string> differences(int64_t seed) const {
    RankedState expected(rank_, ranks_, seed);
    std::vector<std::string> names;
    for (const auto& [name, held] : tensors_) {
      std::vector<char> bytes(held.bytes.size());
      Held other{bytes, held.slice, held.size, held.is_float};
      other.write(name, seed);
      if (other.bytes != held.bytes) names.push_back(name);
    }
    if (integer != expected.integer || least != expected.least) names.push_back("integers");
    if (std::memcmp(reals.data(), expected.reals.data(), reals.size() * sizeof(double)) != 0) names.push_back("reals");
    if (text != expected.text) names.push_back("text");
    return names;
  }

  // Writes the bits at an element of the logical tensor, if this rank holds it.
  void spoil(const std::string& name, int64_t element, uint64_t bits) {
    Held& held = tensors_.at(name);
    held.slice.for_each_run([&](int64_t first, int64_t local, int64_t count) {
      const int64_t at = local + element - first;
      if (element < first || element >= first + count) return;
      std::memcpy(&held.bytes[static_cast<size_t>(at) * held.size], &bits, held.size);
    });
  }

  // The seed of the state that was saved, after it was loaded.
  int64_t seed_loaded() const { return integer / 1'000'003; }

  int64_t integer = 0, least = 0;
  std::vector<double> reals;
  std::string text;

 private:
  struct Held {
    std::vector<char> bytes;
    Slice slice;
    size_t size = 1;
    bool is_float = false;

    void write(const std::string& name, int64_t seed) {
      slice.for_each_run([&](int64_t first, int64_t local, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          const std::string key = name + ' ' + std::to_string(seed) + ' ' + std::to_string(first + i);
          uint64_t value = hash64(key.data(), key.size());
          if (is_float) value &= ~(uint64_t{1} << (8 * size - 2));  // the highest bit of the exponent
          std::memcpy(&bytes[static_cast<size_t>(local + i) * size], &value, size);
        }
      });
    }
  };

  Tensor hold(const std::string& name, DType dtype, const Slice& slice) {
    auto [place, added] = tensors_.try_emplace(name);
    Held& held = place->second;
    if (added) {
      const auto count = static_cast<size_t>(slice.count());
      held = {std::vector<char>(count * size_of(dtype)), slice, size_of(dtype), is_float(dtype)};
      held.write(name, seed_);
    }
    return {held.bytes.data(), dtype, {slice.count()}};
  }
  void replicated(StateVisitor& v, const std::string& name, DType dtype, const Shape& shape) {
    v.replicated(name, hold(name, dtype, Slice::all(shape)).view(shape), Slice::all(shape), holders_);
  }
  // Cuts the tensor at squares of the rank: the parts are uneven, and with many ranks the first ones hold nothing of a
  // small tensor.
  void shard(StateVisitor& v, const std::string& name, DType dtype, const Shape& global) {
    const int64_t n = global.count(), squares = int64_t{ranks_} * ranks_;
    const int64_t begin = n * rank_ * rank_ / squares, end = n * (rank_ + 1) * (rank_ + 1) / squares;
    const Slice slice = Slice::all(global).part(begin, end - begin);
    v.shard(name, hold(name, dtype, slice), slice);
  }
  // Each rank holds a range of columns, so that its elements are contiguous only within a row.
  void columns(StateVisitor& v, const std::string& name, DType dtype, const Shape& global) {
    const int64_t n = global[1], begin = n * rank_ / ranks_, end = n * (rank_ + 1) / ranks_;
    const Slice slice{global, {{{0, begin}, {global[0], end - begin}}}};
    v.shard(name, hold(name, dtype, slice), slice);
  }

  int rank_, ranks_;
  test::RankOf holders_;
  int64_t seed_ = 0;
  std::map<std::string, Held> tensors_;
};

}  // namespace birkhoff
