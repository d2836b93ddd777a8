#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "parallel/mesh/mesh.h"
#include "parallel/shard/bucket.h"
#include "parallel/shard/state.h"
#include "trainer/nn/parameter.h"

namespace birkhoff {

// Binds the parameters, buffers and counters that a model declares to memory. A unit has a bucket for each group over
// which gradients of its parameters are summed, so that they are reduced while the units below it still run backward.
// Every rank of such a group holds all values of the bucket; it owns, and keeps optimizer state for, a part (ZeRO-1).
class ParameterStore {
 public:
  struct Entry {
    Parameter* parameter = nullptr;
    int unit = 0;
    size_t bucket = 0, item = 0;
  };
  // A range, which this rank owns, of the part of a parameter that it holds.
  struct Owned {
    Parameter* parameter = nullptr;
    size_t index = 0;   // of the parameter in entries()
    int64_t begin = 0;  // its first element in what the rank holds
    Slice slice;        // of the logical tensor
    Tensor value, gradient;
  };
  struct UpdateCost {
    double cost = 0;    // of updating the whole parameter, in any unit
    int64_t grain = 0;  // it may be cut between ranks at multiples of so many elements; 0: one rank owns it whole
  };
  using CostOf = std::function<UpdateCost(const Parameter&)>;

  // `visit` walks the model once. Names of parameters must differ.
  ParameterStore(Device device, const Mesh& mesh, const std::function<void(ModuleVisitor&)>& visit,
                 const CostOf& cost_of);

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Owned>& owned() const { return owned_; }
  std::span<PersistentBuffer* const> buffers() const { return buffers_; }
  std::span<StepCounter* const> counters() const { return counters_; }
  struct Router {
    PersistentBuffer* bias;
    StepCounter* load;
  };
  const std::vector<Router>& routers() const { return routers_; }
  const std::vector<std::string>& units() const { return units_; }
  int64_t num_parameters() const;
  size_t bytes() const { return memory_.peak_bytes(); }

  void initialize(Stream& stream, uint64_t seed);
  // Gradients and counters to zero: the start of a step.
  void begin_step(Stream& stream);
  // The gradients of the unit are complete on this rank: sums the uses of its shared parameters, then starts the sum
  // over the replicas.
  void start_reduce(Stream& stream, int unit);
  void wait_reduced(Stream& stream);
  // After the owned values changed: every replica gets them, and caches of the old ones are stale.
  void publish(Stream& stream);
  // Values were changed from outside, on all replicas alike.
  void values_changed();
  // Values in whole, buffers; the optimizer adds its own.
  void state(StateVisitor& visitor);

 private:
  // The parameters of one unit whose gradients are summed over the same ranks.
  struct UnitBucket {
    int unit;
    Communicator* group;
    std::unique_ptr<Bucket> bucket;
  };
  void make_buckets(const CostOf& cost_of);
  void bind();

  Device device_;
  const Mesh* mesh_;
  Arena memory_;
  std::vector<std::string> units_;
  std::vector<Entry> entries_;
  std::vector<Owned> owned_;
  std::vector<PersistentBuffer*> buffers_;
  std::vector<StepCounter*> counters_;
  std::vector<Router> routers_;
  std::vector<UnitBucket> buckets_;
  std::vector<Entry> shared_;  // parameters with several uses
};

}  // namespace birkhoff
