#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/tensor.h"
#include "parallel/mesh/mesh.h"
#include "parallel/shard/division.h"

namespace birkhoff {

// What kind of tensor a parameter is. docs/optimizers.md lists which optimizer updates which role.
enum class Role : uint8_t {
  matrix,     // [out, in], a linear map
  experts,    // [E, out, in], one matrix per expert
  embedding,  // [vocabulary, C], rows looked up by token id or position; a tied head uses the same parameter
  head,       // [vocabulary, C]
  gain,       // scale of a norm, those of Engram included
  bias,
  gate,  // scale and base of hyper-connections: few numbers, which control the mixing of streams
  conv,  // Engram short convolution
};
std::string_view name_of(Role role);

// The group of ranks over which the gradient of a parameter is summed (docs/architecture.md).
enum class GradientSum : uint8_t {
  stage,  // all ranks of the stage: for parameters that every rank holds whole; each rank sees other tokens
  batch,  // dp x cp: for parameters that are divided over tp
  edp,    // the replicas of an expert: for parameters of experts
};
Group group_of(GradientSum sum);

// The part of a model that a parameter belongs to. Reports of sizes and memory are grouped by it.
enum class Part : uint8_t {
  embedding,
  hyper_connections,  // fn, base and scale of the sites and collapses
  block_norms,
  attention,
  dense_feed_forward,
  engram,
  routers,
  routed_experts,
  shared_experts,
  head,         // norm and weight
  projections,  // projections and norms of an MTP predictor
};
std::string_view name_of(Part part);

// The initial values of a parameter. Normal values come from Philox keyed by (seed, parameter name, element), so they
// do not depend on how ranks divide the parameter.
struct Init {
  enum class Kind : uint8_t { normal, constant, table } kind = Kind::normal;
  double value = 0;                        // standard deviation, or the constant
  std::function<double(int64_t)> at = {};  // table: the value of element i of the logical tensor
  static Init normal(double std) { return {Kind::normal, std}; }
  static Init constant(double value) { return {Kind::constant, value}; }
  static Init table(std::function<double(int64_t)> at) { return {Kind::table, 0, std::move(at)}; }
};

// A trained tensor. Its module declares it as one logical tensor, the same on all ranks: name, shape, role, initial
// values, and how it is divided over ranks. The parameter store then decides which part this rank holds, and binds
// value and grad, which have the shape of that part, to a bucket: f32 (f64 on the reference device).
//
// A parameter may be used in several places of a model (a tied embedding: input, MTP predictors, heads). Each use has a
// gradient accumulator of its own, numbered by the owner of the parameter, so that the order in which the uses run does
// not change the sum. grad_of(use) accumulates one use over the microbatches; use 0 is grad itself.
// ParameterStore::start_reduce adds uses 1, 2, ... to it in this order.
struct Parameter {
  std::string name;
  Shape shape;
  Role role = Role::matrix;
  Init init;
  Tensor value, grad;  // of the part that this rank holds
  // Incremented at every change of value, so that packed or quantized copies know when they are stale.
  uint64_t version = 0;
  Division division = {};
  Part part = Part::embedding;
  Slice held = {};         // the part of the logical tensor that value and grad hold
  bool predictor = false;  // belongs to an MTP predictor
  int num_uses = 1;
  std::vector<Tensor> further_grads = {};  // of uses 1, 2, ...

  // The ranks that hold the same part, which follows from the division.
  GradientSum gradient_sum() const;
  // The first of the rows (indices of dim 0) that this rank holds; 0 if it holds none.
  int64_t first_row() const { return held.boxes.empty() ? 0 : held.boxes.front().begin[0]; }
  Tensor grad_of(int use) const { return use == 0 ? grad : further_grads.at(static_cast<size_t>(use - 1)); }
};

// State that is saved with the model but not trained by gradients, such as router biases.
struct PersistentBuffer {
  std::string name;
  Shape shape;
  bool predictor = false;  // belongs to an MTP predictor
  Tensor value = {};
};

// Numbers that a module accumulates over the microbatches of a step. ParameterStore::begin_step clears them, and the
// trainer sums them over the replicas.
struct StepCounter {
  enum class Kind : uint8_t { loss, balance_loss, load };
  std::string name;
  Shape shape;
  Kind kind = Kind::loss;
  Tensor value = {};
};

class ModuleVisitor {
 public:
  virtual ~ModuleVisitor() = default;
  virtual void parameter(Parameter&) {}
  virtual void buffer(PersistentBuffer&) {}
  virtual void counter(StepCounter&) {}
  // A router: its balancing bias (also passed to buffer()) and its load (also passed to counter()).
  virtual void router(PersistentBuffer&, StepCounter&) {}
  // Bytes that a module holds now for packed or rounded copies of its weights.
  virtual void working_copies(size_t) {}
  // The parameters that follow belong to this unit: the embedding, one block, or the head.
  virtual void begin_unit(const std::string&) {}
};

}  // namespace birkhoff
