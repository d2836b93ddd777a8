#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "trainer/nn/instrument.h"
#include "trainer/step/token_split.h"

namespace birkhoff {

// The choices of all routers in a step, by microbatch and layer.
struct RoutingRecord {
  struct Choice {
    Shape shape;
    std::vector<int32_t> experts, balance;
    std::vector<double> scores = {}, bias = {};  // what they follow from: [T, E] and [E]
  };
  std::map<std::pair<size_t, std::string>, Choice> choices;
  std::vector<std::string> layers;  // in the order of the forward
};

// Records the choices of all routers in a step, and makes another step choose the same. Choices are discontinuous, so
// two computations of a step that differ by rounding can be compared only if they make the same choices.
class RoutingTape final : public Instrument {
 public:
  enum class Mode : uint8_t { record, replay };
  RoutingTape(Stream stream, Mode mode, Instrument* next = nullptr);
  // Which part of a step that one rank recorded another rank repeats: microbatch m of this rank is microbatch first + m
  // of the record, and of its tokens, sequences of `length`, this rank has those that `split` gives it.
  struct Share {
    size_t first = 0;
    TokenSplit split = {};
    int64_t length = 1;
  };
  RoutingTape(Stream stream, RoutingRecord record, const Share& share);

  // record: discards earlier recordings. replay: the steps that follow repeat the recorded one.
  void set_mode(Mode mode);
  const RoutingRecord& record() const { return record_; }
  void enter(size_t microbatch) override;
  // Errors: BugError if this layer of this microbatch was not recorded.
  Routing replay_routing(const std::string& layer) override;
  bool records_routing() const override { return mode_ == Mode::record || Instrument::records_routing(); }
  void record_routing(const std::string& layer, const Routing& routing) override;

 private:
  // The choices of this rank's tokens. Padding chooses the first experts.
  Tensor upload(const Shape& shape, const std::vector<int32_t>& values);

  Stream stream_;
  Mode mode_;
  Share share_;
  size_t microbatch_ = 0;
  Arena memory_;  // choices uploaded for the current microbatch
  RoutingRecord record_;
};

}  // namespace birkhoff
