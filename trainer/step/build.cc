#include "trainer/step/build.h"

#include <numeric>

namespace birkhoff {

Device device_of(const Config& c) { return {c.run.device, 0}; }

EngramHashSpec engram_hash_spec(const Config& c, int64_t compressed_vocab, int64_t pad) {
  const EngramOptions& e = c.model.engram;
  EngramHashSpec spec;
  spec.layers = e.layers;
  spec.orders = e.orders;
  spec.bases = e.rows_per_head;
  if (spec.bases.size() == 1) spec.bases.resize(spec.orders.size(), spec.bases[0]);
  spec.num_heads = e.num_heads;
  spec.compressed_vocab = compressed_vocab;
  spec.pad = pad;
  spec.seed = e.seed;
  return spec;
}

std::shared_ptr<const EngramAddresses> addresses_without_tokenizer(const Config& c) {
  if (c.model.engram.layers.empty()) return nullptr;
  std::vector<int32_t> same(static_cast<size_t>(c.model.vocab_size));
  std::iota(same.begin(), same.end(), 0);
  return std::make_shared<EngramAddresses>(engram_hash_spec(c, c.model.vocab_size, 0), same);
}

ModelOptions model_options(const Config& c, int64_t vocab_size, const EngramHash* engram) {
  ModelOptions o;
  o.recipe = c.precision.recipe;
  o.fp8_scale = c.precision.fp8_scale;
  o.payloads = {c.precision.dispatch, c.precision.combine};
  o.gradients = c.precision.gradients;
  o.decoder = c.model;
  o.decoder.vocab_size = vocab_size;
  for (size_t i = 0; i < c.model.engram.layers.size(); ++i) {
    o.table_rows.push_back(engram->table(static_cast<int64_t>(i)).num_rows);
  }
  o.cost_of = [type = c.optimizer.type](const Parameter& p) { return update_cost(p, type); };
  return o;
}

TrainerOptions trainer_options(const Config& c, const EngramHash* engram) {
  TrainerOptions o;
  o.optimizer = c.optimizer;
  // The reference device computes and keeps everything in f64.
  o.precision = {.moments = c.run.device == DeviceKind::reference ? DType::f32 : c.precision.moments,
                 .muon_compute = c.precision.recipe == Recipe::f32 ? DType::f32 : DType::bf16};
  for (size_t i = 0; i < c.model.engram.layers.size(); ++i) {
    const bool heads = c.optimizer.engram.granularity == TableGranularity::head;
    o.table_matrix_begins.push_back(heads ? engram->table(static_cast<int64_t>(i)).offsets : std::vector<int64_t>{0});
  }
  return o;
}

StepShape step_shape(const Config& c, int64_t steps_done) {
  return {batch_size_at(c.batch.ramp, c.batch.global_batch_size, steps_done), c.batch.micro_batch_size,
          sequence_length_at(c.batch.length_schedule, c.batch.sequence_length, steps_done)};
}

}  // namespace birkhoff
