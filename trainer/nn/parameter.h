#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/tensor.h"
#include "parallel/mesh/mesh.h"
#include "parallel/shard/division.h"

namespace birkhoff {

// What a parameter is to an optimizer: docs/optimizers.md lists which role each optimizer takes.
enum class Role : uint8_t {
  matrix,     // [out, in], a linear map
  experts,    // [E, out, in], one matrix per expert
  embedding,  // [vocabulary, C], rows gathered by id; tied to the head when that is configured
  head,       // [vocabulary, C]
  gain,       // scale of a norm
  bias,
  gate,  // mHC scale and base, Engram gains: few numbers that steer mixing
  conv,  // Engram short convolution
};
std::string_view name_of(Role role);

// Which ranks hold a part of a parameter's gradient, so that the sum goes over them (docs/architecture.md).
enum class GradientSum : uint8_t {
  stage,  // every rank of the stage saw other tokens: what all of them hold whole
  batch,  // dp x cp: what tp divides
  edp,    // the replicas of an expert
};
Group group_of(GradientSum sum);

// The part of a model that a parameter belongs to, for tables of sizes and of memory.
enum class Part : uint8_t {
  embedding,
  hyper_connections,  // what predicts the mixing of streams
  block_norms,
  attention,
  dense_feed_forward,
  engram,
  routers,
  routed_experts,
  shared_experts,
  head,         // norm and weight
  projections,  // of a further-token predictor, and its norms
};
std::string_view name_of(Part part);

// How a parameter starts. Normal draws come from Philox keyed by (seed, parameter name, element), so they depend on no
// layout.
struct Init {
  enum class Kind : uint8_t { normal, constant, table } kind = Kind::normal;
  double value = 0;                        // standard deviation, or the constant
  std::function<double(int64_t)> at = {};  // table: value of element i
  static Init normal(double std) { return {Kind::normal, std}; }
  static Init constant(double value) { return {Kind::constant, value}; }
  static Init table(std::function<double(int64_t)> at) { return {Kind::table, 0, std::move(at)}; }
};

// A trained tensor. Its module declares it as one logical tensor, the same on all ranks: name, shape, role, initial
// values, how it is divided over ranks, and over which ranks its gradient is summed. The parameter store then decides
// what this rank holds and binds value and grad, which have the shape of that part, to a bucket: f32 (f64 on the
// reference device).
//
// A parameter that several sites of a model use has an accumulator for each of them, in the order that its owner gives
// the sites, so that the sum over sites does not depend on when each of them runs: grad_of(use) takes the gradients of
// one site over the microbatches, and ParameterStore::start_reduce adds uses 1, 2, ... to grad, which is use 0.
struct Parameter {
  std::string name;
  Shape shape;
  Role role = Role::matrix;
  Init init;
  Tensor value, grad;  // of what this rank holds
  // Raised at every change of value: caches of packed or quantized weights follow it.
  uint64_t version = 0;
  Division division = {};
  Part part = Part::embedding;
  Slice held = {};         // what value and grad are of the logical tensor
  bool predictor = false;  // belongs to a further-token predictor
  int num_uses = 1;
  std::vector<Tensor> further_grads = {};  // of uses 1, 2, ...

  // It follows from the division: the ranks that hold the same part.
  GradientSum gradient_sum() const;
  Tensor grad_of(int use) const { return use == 0 ? grad : further_grads.at(static_cast<size_t>(use - 1)); }
};

// One logical matrix of a parameter whose rows are counted through, over all experts: `groups` runs of `rows` rows that
// begin `stride` rows apart, the first at row `first`.
struct MatrixPlace {
  int64_t first = 0, rows = 0, columns = 0, groups = 1, stride = 0;

  Shape shape() const { return {groups * rows, columns}; }
  bool contiguous() const { return groups == 1; }
};
// All logical matrices, experts outermost: each expert has its own, and so has each block of the rows (Division).
// Shapes: the parameter is [O, I] or [E, O, I]. BugError if its blocks do not sum to O.
std::vector<MatrixPlace> matrices_of(const Parameter& parameter);
// The matrices that this rank holds; rows are numbered in the held tensor. BugError where it holds a part of one only.
std::vector<MatrixPlace> held_matrices_of(const Parameter& parameter);

// State that is saved and used but not trained by gradient: router biases.
struct PersistentBuffer {
  std::string name;
  Shape shape;
  bool predictor = false;  // belongs to a further-token predictor
  Tensor value = {};
};

// Numbers a module adds up over the microbatches of a step, reduced over the replicas and cleared by the loop.
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
  // A router: the bias that balances it (also given to buffer()) and its load of the step (also given to counter()).
  virtual void router(PersistentBuffer&, StepCounter&) {}
  // Bytes of weights held a second time, packed or rounded for products, as they are now.
  virtual void working_copies(size_t) {}
  // A unit is what recomputation and gradient buckets take as a whole: embedding, one block, the head.
  virtual void begin_unit(const std::string&) {}
};

}  // namespace birkhoff
