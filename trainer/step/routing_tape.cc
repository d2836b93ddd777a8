#include "trainer/step/routing_tape.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {

RoutingTape::RoutingTape(Stream stream, Mode mode, Instrument* next)
    : Instrument(next), stream_(stream), mode_(mode), memory_(stream.device) {}

RoutingTape::RoutingTape(Stream stream, RoutingRecord record, const Share& share)
    : stream_(stream), mode_(Mode::replay), share_(share), memory_(stream.device), record_(std::move(record)) {}

void RoutingTape::set_mode(Mode mode) {
  mode_ = mode;
  if (mode == Mode::record) record_ = {};
}

void RoutingTape::enter(size_t microbatch) {
  microbatch_ = microbatch;
  memory_.reset();
  Instrument::enter(microbatch);
}

Tensor RoutingTape::upload(const Shape& shape, const std::vector<int32_t>& values) {
  const TokenSplit& split = share_.split;
  const int64_t K = shape[1], length = share_.length, padded = split.padded(length);
  const TokenRun own = split.own(shape[0] / length * padded);
  std::vector<int32_t> chosen;
  for (int64_t t = own.begin; t < own.begin + own.count; ++t) {
    const int64_t place = t % padded, from = t / padded * length + place;
    for (int64_t k = 0; k < K; ++k) {
      chosen.push_back(place < length ? values[static_cast<size_t>(from * K + k)] : static_cast<int32_t>(k));
    }
  }
  const Tensor t = memory_.take(DType::i32, {own.count, K});
  from_host(stream_, t, chosen.data());
  return t;
}

Instrument::Routing RoutingTape::replay_routing(const std::string& layer) {
  if (mode_ == Mode::record) return Instrument::replay_routing(layer);
  const size_t microbatch = share_.first + microbatch_;
  const auto found = record_.choices.find({microbatch, layer});
  BK_ASSERT(found != record_.choices.end(), layer, " was not recorded in microbatch ", microbatch);
  const RoutingRecord::Choice& c = found->second;
  return {upload(c.shape, c.experts), c.balance.empty() ? Tensor{} : upload(c.shape, c.balance)};
}

void RoutingTape::record_routing(const std::string& layer, const Routing& routing) {
  Instrument::record_routing(layer, routing);
  if (mode_ == Mode::replay) return;
  RoutingRecord::Choice& c = record_.choices[{microbatch_, layer}];
  if (std::find(record_.layers.begin(), record_.layers.end(), layer) == record_.layers.end()) {
    record_.layers.push_back(layer);
  }
  c.shape = routing.experts.shape;
  c.scores = read_values(stream_, routing.scores);
  c.bias = read_values(stream_, routing.bias);
  c.experts.resize(static_cast<size_t>(routing.experts.count()));
  to_host(stream_, c.experts.data(), routing.experts);
  if (!routing.balance.present()) return;
  c.balance.resize(static_cast<size_t>(routing.balance.count()));
  to_host(stream_, c.balance.data(), routing.balance);
}

}  // namespace birkhoff
