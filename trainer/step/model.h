#pragma once
#include <memory>
#include <vector>

#include "trainer/models/decoder.h"
#include "trainer/nn/parameter_store.h"
#include "trainer/nn/row_store.h"

namespace birkhoff {

// A decoder with the memory of its parameters and its Engram tables: what a checkpoint calls "model".
struct Model {
  Build build;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<ParameterStore> parameters;
  std::vector<std::unique_ptr<ShardedRowStore>> tables;  // one per Engram layer, divided over the ranks of a stage

  void initialize(Stream& stream, uint64_t seed);
  void state(StateVisitor& visitor);
  int num_units() const { return decoder->num_units(); }
};

// What a model is made from. `table_rows` has an entry per Engram layer.
struct ModelOptions {
  Recipe recipe = Recipe::f32;
  ScaleFormat fp8_scale = ScaleFormat::f32;
  DecoderOptions decoder;
  std::vector<int64_t> table_rows;
  ParameterStore::CostOf cost_of;
  // Units at which a further stage begins; see Decoder.
  std::vector<int64_t> stage_begins = {};
};
Model make_model(Device device, const Mesh& mesh, const ModelOptions& options);

}  // namespace birkhoff
