#pragma once
#include <memory>
#include <vector>

#include "trainer/models/decoder.h"
#include "trainer/nn/parameter_store.h"
#include "trainer/nn/row_store.h"

namespace birkhoff {

// A decoder with its parameters and Engram tables. A checkpoint stores their values under "model.".
struct Model {
  Build build;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<ParameterStore> parameters;
  std::vector<std::unique_ptr<ShardedRowStore>> tables;  // one per Engram layer, divided over the ranks of a stage

  void initialize(Stream& stream, uint64_t seed);
  void state(StateVisitor& visitor);
  int num_units() const { return decoder->num_units(); }
};

// Options of make_model(). `table_rows` has the number of rows of each Engram layer's table.
struct ModelOptions {
  Recipe recipe = Recipe::f32;
  ScaleFormat fp8_scale = ScaleFormat::f32;
  Payloads payloads = {};
  DType gradients = DType::f32;  // in which they travel
  DecoderOptions decoder;
  std::vector<int64_t> table_rows;
  ParameterStore::CostOf cost_of;
  // Units at which the second and later stages begin; see Decoder.
  std::vector<int64_t> stage_begins = {};
};
Model make_model(Device device, const Mesh& mesh, const ModelOptions& options);

}  // namespace birkhoff
