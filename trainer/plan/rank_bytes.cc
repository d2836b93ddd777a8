#include "trainer/plan/rank_bytes.h"

#include "trainer/checkpoint/save.h"
#include "trainer/plan/model_memory.h"

namespace birkhoff {
namespace {

// Sums the bytes of the tensors that a part of a run's state visits.
class StateBytes final : public StateVisitor {
 public:
  void replicated(const std::string&, Tensor t, const Slice&, const Communicator&) override { add(t); }
  void shard(const std::string&, Tensor t, const Slice&) override { add(t); }
  void integer(const std::string&, int64_t&) override {}
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}
  int64_t total = 0;

 private:
  void add(Tensor t) { total += static_cast<int64_t>(t.bytes()); }
};

// Bytes of the tensors that `owner` saves in a checkpoint.
template <class Owner>
int64_t state_bytes(Owner& owner) {
  StateBytes bytes;
  owner.state(bytes);
  return bytes.total;
}

// Each use of a parameter (a tied embedding, MTP) has an accumulator of its own.
int64_t gradient_bytes(const ParameterStore& parameters) {
  size_t bytes = parameters.packed_gradient_bytes();
  for (const ParameterStore::Entry& e : parameters.entries()) {
    bytes += e.parameter->grad.bytes();
    for (const Tensor& further : e.parameter->further_grads) bytes += further.bytes();
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace

RankBytes held_bytes(Model& model, Trainer& trainer, int64_t microbatch_tokens) {
  RankBytes bytes;
  bytes.weights = state_bytes(*model.parameters);
  bytes.packed_weights = packed_weight_bytes(model);
  bytes.gradients = gradient_bytes(*model.parameters);
  bytes.moments = state_bytes(trainer.optimizer());
  for (auto& table : model.tables) bytes.tables += state_bytes(*table);
  for (auto& table : trainer.table_optimizers()) bytes.table_moments += state_bytes(*table);
  bytes.activations = static_cast<int64_t>(trainer.peak_activation_bytes());
  bytes.between_layers = static_cast<int64_t>(trainer.bytes_between_layers());
  bytes.kernel_scratch = kernel_scratch_bytes(model, microbatch_tokens);
  for (const Piece& piece : collect([&](StateVisitor& v) { trainer.state(v); }).pieces)
    bytes.checkpoint_staging += static_cast<int64_t>(piece.data.bytes());
  return bytes;
}

}  // namespace birkhoff
