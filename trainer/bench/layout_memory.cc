#include "trainer/bench/layout_memory.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <malloc.h>

#include "kernels/core/process_memory.h"
#include "parallel/comm/host_values.h"
#include "trainer/bench/subject.h"
#include "trainer/config/layout_rules.h"
#include "trainer/plan/dry_rank.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

struct NamedBytes {
  const char* name;
  int64_t RankBytes::*bytes;
  bool exact;
};
// Where experts are divided, activations depend on how many tokens their experts attract.
constexpr NamedBytes kClasses[] = {
    {"weights", &RankBytes::weights, true},         {"packed_weights", &RankBytes::packed_weights, true},
    {"gradients", &RankBytes::gradients, true},     {"moments", &RankBytes::moments, true},
    {"tables", &RankBytes::tables, true},           {"table_moments", &RankBytes::table_moments, true},
    {"activations", &RankBytes::activations, false}};

int64_t all_of(const RankBytes& b) { return b.of_model() + b.table_rows + b.communication_buffers; }

// Growth of the peak since `before`, without memory mapped from files.
std::optional<int64_t> growth_since(const ProcessMemory& before) {
  const ProcessMemory after = process_memory();
  if (!before.resident || !before.mapped_files || !after.peak_resident || !after.mapped_files) return std::nullopt;
  return *after.peak_resident - *before.resident - (*after.mapped_files - *before.mapped_files);
}

}  // namespace

LayoutMemory compare_with_plan(Communicator& world, const RankBytes& planned, const RankBytes& counted,
                               std::optional<int64_t> growth) {
  const auto on_ranks = [&](int64_t value) { return all_gather_on_host(world, value); };
  LayoutMemory memory;
  const std::vector<int64_t> all = on_ranks(all_of(planned));
  const auto fullest = static_cast<size_t>(std::max_element(all.begin(), all.end()) - all.begin());
  for (const NamedBytes& c : kClasses) {
    const std::vector<int64_t> p = on_ranks(planned.*c.bytes), q = on_ranks(counted.*c.bytes);
    LayoutMemory::Class of{c.name, p[fullest], q[fullest], 0, c.exact};
    for (size_t r = 0; r < p.size(); ++r) of.difference = std::max(of.difference, std::abs(p[r] - q[r]));
    memory.classes.push_back(of);
  }
  const std::vector<int64_t> between = on_ranks(counted.between_layers);
  memory.between_layers = *std::max_element(between.begin(), between.end());
  // Every rank takes part in the exchange, whatever it could measure.
  const std::vector<int64_t> grown = on_ranks(growth.value_or(0));
  if (std::any_of(grown.begin(), grown.end(), [](int64_t bytes) { return bytes <= 0; })) return memory;
  for (size_t r = 0; r < grown.size(); ++r) {
    const LayoutMemory::Peak peak{all[r], grown[r]};
    const auto off = [](const LayoutMemory::Peak& p) { return std::abs(std::log(p.planned_over_measured())); };
    if (!memory.peak || off(peak) > off(*memory.peak)) memory.peak = peak;
  }
  return memory;
}

LayoutMemory measure_layout_memory(Communicator& world, const Config& config) {
  ::malloc_trim(0);  // what earlier models released must count as growth again
  const bool reset = reset_resident_peak();
  const ProcessMemory before = process_memory();
  RankBytes counted;
  std::optional<int64_t> growth;
  {
    Subject subject(world, config, device_of(config));
    const StepBatch batch = subject.make_batch();
    // As in DryRank::run(), which says why memory peaks in the second step.
    subject.trainer().measure_gain(config.run.log_interval == 1);
    subject.step(batch);
    subject.trainer().measure_gain(true);
    subject.step(batch);
    if (reset) growth = growth_since(before);
    counted =
        held_bytes(subject.model(), subject.trainer(), config.batch.micro_batch_size * config.batch.sequence_length);
  }
  const MeshDegrees layout = check_layout(config, degrees_of(config.parallel), world.size());
  DryRank dry(config, layout, world.rank(), world.local_size());
  return compare_with_plan(world, dry.run().bytes, counted, growth);
}

}  // namespace birkhoff
