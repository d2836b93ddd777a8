#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/gemm/precision.h"
#include "parallel/mesh/mesh.h"
#include "parallel/shard/bucket.h"
#include "parallel/shard/state.h"
#include "trainer/nn/matrices.h"

namespace birkhoff {

// Binds the parameters, buffers and counters that a model declares to memory. Each unit has one bucket for each group
// over which gradients of its parameters are summed, so that its gradients can be reduced while the units below it
// still run backward. Every rank of such a group holds all values of the bucket. It owns a part of them, updates this
// part and keeps the optimizer state for it (ZeRO-1).
class ParameterStore {
 public:
  struct Entry {
    Parameter* parameter = nullptr;
    int unit = 0;
    size_t bucket = 0, item = 0;
  };
  // A range of a parameter that this rank owns, within the part that it holds.
  struct Owned {
    Parameter* parameter = nullptr;
    size_t index = 0;   // of the parameter in entries()
    int64_t begin = 0;  // offset of the range in the held part
    Slice slice;        // the range, as a part of the logical tensor
    Tensor value, gradient;
  };
  struct UpdateCost {
    double cost = 0;  // of updating the whole parameter, in an arbitrary unit
    // Whether each matrix needs one owner (MatrixUnits). If ranks hold parts of a matrix (axis_of_matrices), the owners
    // of the parts are the ranks of one group along that axis; one of them updates the matrix. Otherwise ranks may
    // split the parameter at multiples of kCutAlignment elements.
    bool whole_matrices = false;
  };
  using CostOf = std::function<UpdateCost(const Parameter&)>;

  // `visit` visits all modules of the model; `gradient_wire`: see Bucket. Errors: BugError if two parameters have the
  // same name, or one is outside a unit.
  ParameterStore(Device device, const Mesh& mesh, const std::function<void(ModuleVisitor&)>& visit,
                 const CostOf& cost_of, DType gradient_wire = Precision::master());

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Owned>& owned() const { return owned_; }
  // The axis over which the matrices of a parameter are divided; nullopt if there is none, or if no matrix needs one
  // owner.
  std::optional<Axis> divided_over(size_t entry) const { return buckets_[entries_[entry].bucket].divided_over; }
  // For each rank of the group over which the gradient of a parameter is summed, the matrices of which it owns what the
  // group holds, numbered as in matrices_of(). Only for parameters with UpdateCost::whole_matrices.
  struct MatrixRange {
    int64_t begin = 0, end = 0;
  };
  std::vector<MatrixRange> matrices_by_owner(size_t entry) const;
  const Mesh& mesh() const { return *mesh_; }
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
  // Of the gradients as they travel, if in another dtype than their own.
  size_t packed_gradient_bytes() const;

  void initialize(Stream& stream, uint64_t seed);
  // Sets gradients and counters to zero at the start of a step.
  void begin_step(Stream& stream);
  // Call when the gradients of the unit are complete on this rank. Sums the uses of its shared parameters, then starts
  // the sum over the replicas.
  void start_reduce(Stream& stream, int unit);
  void wait_reduced(Stream& stream);
  // Sends the owned values to all replicas after an update, and calls values_changed().
  void publish(Stream& stream);
  // Call after values were changed from outside, on all replicas alike: marks packed copies of the weights as stale.
  void values_changed();
  // Visits the values of parameters and buffers. The optimizers visit their own state.
  void state(StateVisitor& visitor);

 private:
  // The parameters of one unit whose gradients are summed over the same ranks. Those whose matrices are divided over an
  // axis have a bucket of their own, since all ranks along this axis must cut it alike.
  struct UnitBucket {
    int unit;
    Communicator* group;
    std::optional<Axis> divided_over;
    std::unique_ptr<Bucket> bucket;
  };
  void make_buckets(const CostOf& cost_of, DType gradient_wire);
  void drop_share(Stream& stream, int unit, Part part);
  void drop_experts(Stream& stream, int unit);
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
  std::vector<Entry> shared_;  // parameters with more than one use
};

}  // namespace birkhoff
