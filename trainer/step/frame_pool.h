#pragma once
#include <memory>
#include <vector>

#include "trainer/nn/frame.h"

namespace birkhoff {

// Frames for the microbatches in flight. take() returns the free frame with the lowest index, so that repeated runs of
// a program use the same memory addresses once the arenas of the frames have grown to their peak.
class FramePool {
 public:
  FramePool(Stream stream, int num_slots) : stream_(stream), num_slots_(num_slots) {}

  // An empty frame.
  Frame& take();
  void give_back(Frame& frame);
  void give_all_back();

  // The largest number of frames that were in use at the same time so far.
  size_t peak_frames() const { return frames_.size(); }
  size_t peak_bytes() const;

 private:
  struct Entry {
    std::unique_ptr<Frame> frame;
    bool taken = false;
  };
  Stream stream_;
  int num_slots_;
  std::vector<Entry> frames_;
};

}  // namespace birkhoff
