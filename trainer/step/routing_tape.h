#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "trainer/nn/instrument.h"

namespace birkhoff {

// Records how every router of a step chooses, and has another step choose the same. Choices are discontinuous: two
// computations of one step that differ by rounding can be compared only where they choose alike.
class RoutingTape final : public Instrument {
 public:
  enum class Mode : uint8_t { record, replay };
  RoutingTape(Stream stream, Mode mode, Instrument* next = nullptr);

  // record: forgets what was recorded. replay: plays the tape from its first microbatch again.
  void set_mode(Mode mode);
  void enter(size_t microbatch) override;
  // BugError for a layer or microbatch that was not recorded, or one of another size.
  Routing replay_routing(const std::string& layer) override;
  bool records_routing() const override { return mode_ == Mode::record; }
  void record_routing(const std::string& layer, const Routing& routing) override;

 private:
  struct Choice {
    Shape shape;
    std::vector<int32_t> experts, balance;
  };
  Tensor upload(const Shape& shape, const std::vector<int32_t>& values);

  Stream stream_;
  Mode mode_;
  size_t microbatch_ = 0;
  Arena memory_;  // of the choices that the microbatch replays
  std::map<std::pair<size_t, std::string>, Choice> choices_;
};

}  // namespace birkhoff
