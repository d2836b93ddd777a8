#include "parallel/shard/bucket.h"

#include <algorithm>
#include <numeric>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {
// In elements. Aligns parameters to the arena's alignment in f32, and therefore also in f64.
constexpr int64_t kAlignment = 16;
int64_t padded(int64_t count) { return (count + kAlignment - 1) / kAlignment * kAlignment; }
}  // namespace

Bucket::Bucket(Arena& storage, Communicator& replicas, std::vector<BucketItem> items, std::vector<double>& load,
               DType wire)
    : replicas_(&replicas), items_(std::move(items)) {
  BK_ASSERT(static_cast<int>(load.size()) == replicas.size());
  cut(load);
  first_ = std::accumulate(pieces_.begin(), pieces_.begin() + replicas.rank(), int64_t{0});
  values_ = storage.take(DType::f32, {offsets_.back()});
  gradients_ = storage.take(DType::f32, {offsets_.back()});
  const bool exact = wire == DType::f32 || storage.device().kind == DeviceKind::reference;
  if (!exact && replicas.size() > 1) packed_ = storage.take(wire, {offsets_.back()});
  Stream stream{storage.device()};
  fill_zero(stream, values_);
  fill_zero(stream, gradients_);
  find_owned();
}

void Bucket::cut(std::vector<double>& load) {
  std::vector<PartitionItem> parts;
  offsets_ = cut_offsets_ = {0};
  for (const BucketItem& item : items_) {
    BK_ASSERT(item.units.has_value() == has_units(), item.name, ": only some items of a bucket have units");
    const int64_t count = padded(item.held.shape.count());
    parts.push_back(item.units ? PartitionItem{*item.units, item.cost, 1}
                               : PartitionItem{count, item.cost, item.grain});
    offsets_.push_back(offsets_.back() + count);
    cut_offsets_.push_back(cut_offsets_.back() + parts.back().count);
  }
  pieces_ = cut_bucket(parts, load);
  cut_begins_ = {0};
  for (const int64_t count : pieces_) cut_begins_.push_back(cut_begins_.back() + count);
  if (!has_units()) return;
  // A piece ends where the first unit of the next one begins, and the last piece at the end of the bucket.
  int64_t begin = 0;
  for (size_t rank = 0; rank < pieces_.size(); ++rank) {
    const int64_t end = rank + 1 == pieces_.size() ? offsets_.back() : begin_of_unit(cut_begins_[rank + 1]);
    pieces_[rank] = end - begin;
    begin = end;
  }
}

// The element at which a unit of the bucket begins.
int64_t Bucket::begin_of_unit(int64_t unit) const {
  for (size_t i = 0; i < items_.size(); ++i) {
    if (unit >= cut_offsets_[i + 1]) continue;
    return offsets_[i] + (unit - cut_offsets_[i]) * (items_[i].held.shape.count() / *items_[i].units);
  }
  return offsets_.back();
}

Bucket::Range Bucket::owned_by(int rank, size_t item) const {
  const int64_t first = cut_begins_[static_cast<size_t>(rank)], last = cut_begins_[static_cast<size_t>(rank) + 1];
  const int64_t all = items_[item].units.value_or(items_[item].held.shape.count());  // without padding
  const int64_t begin = std::clamp<int64_t>(first - cut_offsets_[item], 0, all);
  return {begin, std::clamp<int64_t>(last - cut_offsets_[item], begin, all)};
}

void Bucket::find_owned() {
  for (size_t i = 0; i < items_.size(); ++i) {
    const Held& held = items_[i].held;
    const Range range = owned_by(replicas_->rank(), i);
    const int64_t size = items_[i].units.value_or(0) > 0 ? held.shape.count() / *items_[i].units : 1;
    const int64_t begin = range.begin * size, count = (range.end - range.begin) * size;
    if (count == 0) continue;
    owned_.push_back({i, begin, held.slice.part(begin, count), values_.flat(offsets_[i] + begin, count),
                      gradients_.flat(offsets_[i] + begin, count)});
  }
}

Tensor Bucket::at(Tensor flat, size_t i) const {
  const Shape& shape = items_[i].held.shape;
  return flat.flat(offsets_[i], shape.count()).view(shape);
}
Tensor Bucket::value(size_t i) const { return at(values_, i); }
Tensor Bucket::gradient(size_t i) const { return at(gradients_, i); }
Tensor Bucket::own_piece(Tensor flat) const {
  return flat.flat(first_, pieces_[static_cast<size_t>(replicas_->rank())]);
}

void Bucket::zero_gradients(Stream& stream) { fill_zero(stream, gradients_); }

void Bucket::start_reduce(Stream& stream) {
  BK_ASSERT(!reducing_);
  if (packed_.present()) copy(stream, packed_, gradients_);
  const Tensor all = packed_.present() ? packed_ : gradients_;
  reducing_ = replicas_->reduce_scatter_v(stream, own_piece(all), all, pieces_);
}
void Bucket::wait_reduced(Stream& stream) {
  BK_ASSERT(reducing_);
  reducing_->wait(stream);
  reducing_.reset();
  if (packed_.present()) copy(stream, own_piece(gradients_), own_piece(packed_));
}
void Bucket::start_gather(Stream& stream) {
  BK_ASSERT(!gathering_);
  gathering_ = replicas_->all_gather_v(stream, values_, own_piece(values_), pieces_);
}
void Bucket::wait_gathered(Stream& stream) {
  BK_ASSERT(gathering_);
  gathering_->wait(stream);
  gathering_.reset();
}

}  // namespace birkhoff
