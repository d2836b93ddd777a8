#include "trainer/bench/memory.h"

#include "kernels/core/process_memory.h"
#include "trainer/bench/subject.h"
#include "trainer/plan/model_memory.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

double table_bytes(Subject& s) {
  double sum = 0;
  for (const auto& table : s.model().tables) sum += static_cast<double>(table->local_values().bytes());
  return sum;
}

// Bytes that the row stores of the tables need for a step. They need most when they sum gradients: for the received
// gradients, their sums, and the numbers of the rows.
double row_bytes(Subject& s, const StepBatch& batch) {
  double sum = 0;
  for (size_t i = 0; i < s.model().tables.size(); ++i) {
    const double width = static_cast<double>(s.model().tables[i]->row_width());
    sum += static_cast<double>(batch.engram_rows[i].size()) * (2 * sizeof(float) * width + 12);
  }
  return sum;
}

double batch_bytes(const StepBatch& batch) {
  double sum = 0;
  for (const Batch& b : batch.microbatches) {
    sum += static_cast<double>(b.tokens.size() * (4 + b.targets.size()) * sizeof(int32_t));
    for (const auto& index : b.engram_index) sum += static_cast<double>(index.size() * sizeof(int32_t));
  }
  for (const auto& rows : batch.engram_rows) sum += static_cast<double>(rows.size() * sizeof(int64_t));
  return sum;
}

// Bytes by class, in the order of the report.
std::vector<std::pair<std::string, double>> classes_of(Subject& s, const StepBatch& batch) {
  double gradients = 0;
  for (const auto& e : s.model().parameters->entries()) gradients += static_cast<double>(e.parameter->grad.bytes());
  const Trainer& t = s.trainer();
  const int64_t tokens = s.config().batch.micro_batch_size * s.config().batch.sequence_length;
  return {{"weights", static_cast<double>(s.model().parameters->bytes()) - gradients},
          {"gradients", gradients},
          {"moments", static_cast<double>(t.optimizer().bytes())},
          {"packed_weights", static_cast<double>(packed_weight_bytes(s.model()))},
          {"tables", table_bytes(s)},
          {"table_moments", static_cast<double>(t.table_state_bytes())},
          {"activations", static_cast<double>(t.peak_activation_bytes())},
          {"step_workspace", static_cast<double>(t.workspace_bytes())},
          {"table_rows", row_bytes(s, batch)},
          {"batch", batch_bytes(batch)},
          {"kernel_scratch", static_cast<double>(kernel_scratch_bytes(s.model(), tokens))}};
}

bool is_known(const ProcessMemory& m) { return m.resident && m.peak_resident && m.mapped_files; }

}  // namespace

MemoryUse measure_memory(Communicator& replicas, const Config& config) {
  MemoryUse use;
  const bool reset = reset_resident_peak();
  const ProcessMemory before = process_memory();
  Subject subject(replicas, config, device_of(config));
  const StepBatch batch = subject.make_batch();
  // Two steps, because memory peaks only in the second one (run_step() in trainer/plan/describe.cc says why).
  for (int i = 0; i < 2; ++i) subject.step(batch);
  const ProcessMemory after = process_memory();
  Subject meta(replicas, config, Device{DeviceKind::meta});
  for (int i = 0; i < 2; ++i) meta.step(batch);
  const auto predicted = classes_of(meta, batch), counted = classes_of(subject, batch);
  for (size_t i = 0; i < predicted.size(); ++i) {
    use.classes.push_back({predicted[i].first, predicted[i].second, counted[i].second});
    use.predicted += predicted[i].second;
  }
  if (!is_known(before) || !is_known(after)) return use;
  // If the peak could not be reset and this model did not exceed it, it is the peak of earlier work.
  if (reset || *after.peak_resident > *before.peak_resident) {
    const int64_t files = *after.mapped_files - *before.mapped_files;
    use.mapped_files = static_cast<double>(files);
    use.measured = static_cast<double>(*after.peak_resident - *before.resident - files);
  }
  return use;
}

}  // namespace birkhoff
