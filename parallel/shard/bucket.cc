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

Bucket::Bucket(Arena& storage, Communicator& replicas, std::vector<BucketItem> items, std::vector<double>& load)
    : replicas_(&replicas), items_(std::move(items)) {
  BK_ASSERT(static_cast<int>(load.size()) == replicas.size());
  std::vector<PartitionItem> parts;
  int64_t count = 0;
  for (const BucketItem& item : items_) {
    offsets_.push_back(count);
    parts.push_back({padded(item.held.shape.count()), item.cost, item.grain});
    count += parts.back().count;
  }
  pieces_ = cut_bucket(parts, load);
  first_ = std::accumulate(pieces_.begin(), pieces_.begin() + replicas.rank(), int64_t{0});
  values_ = storage.take(DType::f32, {count});
  gradients_ = storage.take(DType::f32, {count});
  Stream stream{storage.device()};
  fill_zero(stream, values_);
  fill_zero(stream, gradients_);
  find_owned();
}

void Bucket::find_owned() {
  const int64_t last = first_ + pieces_[static_cast<size_t>(replicas_->rank())];
  for (size_t i = 0; i < items_.size(); ++i) {
    const int64_t begin = std::max(first_, offsets_[i]);
    const int64_t end = std::min(last, offsets_[i] + items_[i].held.shape.count());
    if (begin >= end) continue;
    owned_.push_back({i, begin - offsets_[i], items_[i].held.slice.part(begin - offsets_[i], end - begin),
                      values_.flat(begin, end - begin), gradients_.flat(begin, end - begin)});
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
  reducing_ = replicas_->reduce_scatter_v(stream, own_piece(gradients_), gradients_, pieces_);
}
void Bucket::wait_reduced(Stream& stream) {
  BK_ASSERT(reducing_);
  reducing_->wait(stream);
  reducing_.reset();
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
