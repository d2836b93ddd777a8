#include "trainer/step/frame_pool.h"

#include <algorithm>

namespace birkhoff {

Frame& FramePool::take() {
  auto free = std::find_if(frames_.begin(), frames_.end(), [](const Entry& e) { return !e.taken; });
  if (free == frames_.end()) free = frames_.insert(free, {std::make_unique<Frame>(stream_, num_slots_)});
  free->taken = true;
  free->frame->clear();
  return *free->frame;
}

void FramePool::give_back(Frame& frame) {
  const auto mine =
      std::find_if(frames_.begin(), frames_.end(), [&](const Entry& e) { return e.frame.get() == &frame; });
  BK_ASSERT(mine != frames_.end() && mine->taken, "a frame of another pool");
  mine->taken = false;
  frame.instrument = nullptr;  // the instrument may be destroyed after the run
}

void FramePool::give_all_back() {
  for (Entry& e : frames_) {
    if (e.taken) give_back(*e.frame);
  }
}

size_t FramePool::peak_bytes() const {
  size_t sum = 0;
  for (const Entry& e : frames_) sum += e.frame->peak_bytes();
  return sum;
}

}  // namespace birkhoff
