#include "trainer/step/model.h"

#include "kernels/core/error.h"

namespace birkhoff {

Model make_model(Device device, const Mesh& mesh, const ModelOptions& o) {
  Model m;
  m.build = {device, &mesh, Precision(o.recipe, o.fp8_scale), o.decoder.norm, o.decoder.init, o.payloads};
  m.decoder = std::make_unique<Decoder>(m.build, o.decoder, o.stage_begins);
  m.parameters = std::make_unique<ParameterStore>(
      device, mesh, [&](ModuleVisitor& v) { m.decoder->visit(v); }, o.cost_of, o.gradients);
  BK_ASSERT(o.table_rows.size() == o.decoder.engram.layers.size());
  for (size_t i = 0; i < o.table_rows.size(); ++i) {
    const std::string name = "layers." + std::to_string(o.decoder.engram.layers[i]) + ".engram.table";
    m.tables.push_back(std::make_unique<ShardedRowStore>(device, mesh.group(Group::stage), name, o.table_rows[i],
                                                         o.decoder.engram.head_dim));
  }
  return m;
}

void Model::initialize(Stream& stream, uint64_t seed) {
  parameters->initialize(stream, seed);
  for (auto& table : tables) table->initialize(stream, seed, decoder->options().engram.init_std);
}

void Model::state(StateVisitor& v) {
  parameters->state(v);
  for (auto& table : tables) table->state(v);
}

}  // namespace birkhoff
