#include "kernels/core/arena.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr size_t kMinChunk = size_t{1} << 20;

size_t round_up(size_t bytes) { return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment; }

void* allocate(Device device, size_t bytes) {
  if (device.kind == DeviceKind::meta) return nullptr;
  if constexpr (kWithCuda) {
    if (device.kind == DeviceKind::cuda) return cuda::allocate(device, bytes);
  }
  BK_CHECK(device.kind != DeviceKind::cuda, "this build has no CUDA backend; configure with -DBIRKHOFF_CUDA=ON");
  void* data = std::aligned_alloc(Arena::kAlignment, round_up(bytes));
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

void release(Device device, void* data) noexcept {
  if constexpr (kWithCuda) {
    if (device.kind == DeviceKind::cuda) return cuda::release(device, data);
  }
  std::free(data);
}

}  // namespace

struct Arena::Impl {
  struct Chunk {
    std::byte* base;
    size_t capacity, used;
  };
  Device device;
  std::vector<Chunk> chunks;
  size_t below = 0;  // bytes used in all chunks but the last
  size_t peak = 0;
  size_t taken = 0;

  explicit Impl(Device d) : device(d) {}
  ~Impl() {
    for (Chunk& c : chunks) release(device, c.base);
  }
  void add(size_t capacity) {
    if (!chunks.empty()) below += chunks.back().used;
    chunks.push_back({static_cast<std::byte*>(allocate(device, capacity)), capacity, 0});
  }
  void drop_last() {
    release(device, chunks.back().base);
    chunks.pop_back();
    if (!chunks.empty()) below -= chunks.back().used;
  }
};

Arena::Arena(Device device, size_t capacity_bytes) : impl_(std::make_unique<Impl>(device)) {
  if (capacity_bytes > 0) impl_->add(round_up(capacity_bytes));
}
Arena::~Arena() = default;
Arena::Arena(Arena&&) noexcept = default;
Arena& Arena::operator=(Arena&&) noexcept = default;

void Arena::reserve(size_t bytes) {
  Impl& a = *impl_;
  BK_ASSERT(used_bytes() == 0, "reserve on an arena in use");
  if (a.chunks.size() == 1 && a.chunks.back().capacity >= bytes) return;
  while (!a.chunks.empty()) a.drop_last();
  a.add(round_up(bytes));
}

Tensor Arena::take(DType dtype, Shape shape) {
  Impl& a = *impl_;
  if (a.device.kind == DeviceKind::reference && is_float(dtype)) dtype = DType::f64;
  const size_t bytes = round_up(static_cast<size_t>(shape.count()) * size_of(dtype));
  if (a.chunks.empty() || a.chunks.back().used + bytes > a.chunks.back().capacity) {
    // A new chunk is at least as large as the last one, so that few chunks are needed.
    a.add(std::max({bytes, kMinChunk, a.chunks.empty() ? 0 : a.chunks.back().capacity}));
  }
  Impl::Chunk& chunk = a.chunks.back();
  Tensor tensor{chunk.base ? chunk.base + chunk.used : nullptr, dtype, shape};
#ifdef BIRKHOFF_CHECKED
  tensor.device = a.device.kind;
#endif
  chunk.used += bytes;
  a.taken += bytes;
  a.peak = std::max(a.peak, used_bytes());
  return tensor;
}

Arena::Mark Arena::mark() const {
  return {impl_->chunks.size(), impl_->chunks.empty() ? 0 : impl_->chunks.back().used};
}

void Arena::rewind(Mark mark) {
  Impl& a = *impl_;
  if (a.chunks.empty()) return;
  BK_ASSERT(mark.chunk <= a.chunks.size());
  // Rewinding to a mark from before the first chunk frees everything, but keeps that chunk for the next take().
  const size_t keep = std::max<size_t>(mark.chunk, a.chunks.empty() ? 0 : 1);
  while (a.chunks.size() > keep) a.drop_last();
  if (!a.chunks.empty()) a.chunks.back().used = mark.chunk == 0 ? 0 : mark.used;
}

void Arena::reset() {
  Impl& a = *impl_;
  // The capacity is compared with the peak because an ArenaScope may already have released the later chunks.
  if (a.chunks.size() > 1 || (a.chunks.size() == 1 && a.chunks.back().capacity < a.peak)) {
    while (!a.chunks.empty()) a.drop_last();
    try {
      a.add(a.peak);
    } catch (const std::bad_alloc&) {  // destructors call reset(), so it must not throw; the next take() allocates
    }
  }
  if (!a.chunks.empty()) a.chunks.back().used = 0;
}

size_t Arena::used_bytes() const { return impl_->chunks.empty() ? 0 : impl_->below + impl_->chunks.back().used; }
size_t Arena::peak_bytes() const { return impl_->peak; }
size_t Arena::taken_bytes() const { return impl_->taken; }
Device Arena::device() const { return impl_->device; }

}  // namespace birkhoff
