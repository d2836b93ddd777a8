#include "trainer/proof/proof_memory.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "trainer/plan/describe.h"
#include "trainer/proof/verify.h"

namespace birkhoff {
namespace {

// Sizes of a model in elements, and of what belongs to the batch of a step in bytes.
struct Sizes {
  int64_t parameters, tables, weights, divided;  // weights: parameters and router biases; divided: moments and tables
  int64_t documents;                             // the batches of all replicas
  int64_t choices;                               // of experts by all routers, with the scores that they follow from
  int64_t gradients() const { return parameters + tables; }
  int64_t state() const { return weights + divided; }
};

int64_t num_routers(const DecoderOptions& m) {
  int64_t routers = m.moe.at(m.num_layers) ? m.mtp.depth : 0;
  for (int64_t layer = 0; layer < m.num_layers; ++layer) routers += m.moe.at(layer) ? 1 : 0;
  return routers;
}

Sizes sizes_of(const Config& c) {
  const ModelDescription d = describe_model(c);
  const auto value = static_cast<int64_t>(sizeof(float));  // parameters, moments and tables of a proof are f32
  Sizes s{};
  for (const ModelDescription::Count& count : d.counts) s.parameters += count.parameters;
  s.tables = d.table_parameters();
  s.weights = d.bytes.weights / value;
  s.divided = (d.bytes.moments + d.bytes.table_moments) / value + s.tables;
  const int64_t tokens = c.batch.global_batch_size * c.batch.sequence_length;
  // Of a token: itself, its targets, position, document and weight; the number of each row and its place in the step.
  const auto tables = static_cast<int64_t>(c.model.engram.layers.size());
  s.documents = tokens * (4 * (5 + c.model.mtp.depth) + 12 * tables * c.model.engram.rows_per_token());
  // Two kinds of choices, of f32 size, and a score of each expert in f64.
  s.choices = num_routers(c.model) * tokens * (2 * 4 * c.model.moe.top_k + 8 * c.model.moe.num_experts);
  return s;
}

constexpr auto kDouble = static_cast<int64_t>(sizeof(double));

// What one rank records: gradients of each step, in other recipes also those of the reference device, and the choices
// in the step and in an evaluation.
int64_t recorded_bytes(const Config& c, const Sizes& s, int64_t steps) {
  const bool reference = c.run.device == DeviceKind::reference, f32 = c.precision.recipe == Recipe::f32;
  const int64_t recorded = reference ? std::max(steps, int64_t{Proof::kUnbroken}) : steps;
  const int64_t last_state = reference ? kDouble * s.state() : 0;
  return recorded * (kDouble * s.gradients() * (reference || f32 ? 1 : 2) + 2 * s.choices) + last_state;
}

ProofMemory memory_of(const Config& c, const Sizes& s, const ProofLayout& layout, int64_t steps, int ranks_on_host) {
  const int64_t here = std::min(layout.ranks, ranks_on_host);
  // A rank brings the parts of the state that it holds, while a tape replays the choices of a step and an evaluation.
  const int64_t parts = kDouble * (s.weights + s.divided / layout.ranks) + 2 * s.choices;
  // The first rank has the step, and a model of its own, with whose state before and after the update the step is
  // compared; the state is put together from parts.
  const int64_t judged = kDouble * (s.gradients() + s.state() + 3 * s.state());
  return {layout,
          {{"gradients and choices of one rank, recorded", recorded_bytes(c, s, steps)},
           {"documents of a step", s.documents},
           {concat("training on ", here, here == 1 ? " rank" : " ranks"),
            here * plan_memory(c, layout.degrees, 0, static_cast<int>(here)).total()},
           {"what these ranks hold of the state, in f64", here * parts},
           {"training on the rank that repeats updates", plan_memory(c, {.dp = 1}, 0, 1).total()},
           {"a step to judge, in f64", judged}}};
}

std::string mib(int64_t bytes) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 20);
  return out.str();
}

}  // namespace

int64_t ProofMemory::total() const {
  int64_t sum = 0;
  for (const auto& [name, count] : bytes) sum += count;
  return sum;
}

// One process may hold all ranks. Where each rank is a process, the limit of a process is hardly the one that matters.
bool ProofMemory::fits(const MemoryRoom& room) const { return total() <= std::min(room.of_host, room.of_process); }

ProofMemory proof_memory(const Config& config, const std::vector<ProofLayout>& layouts, int64_t steps,
                         int ranks_on_host) {
  const Sizes sizes = sizes_of(config);
  ProofMemory most;
  for (const ProofLayout& layout : layouts) {
    ProofMemory m = memory_of(config, sizes, layout, steps, ranks_on_host);
    if (m.total() > most.total()) most = std::move(m);
  }
  return most;
}

std::string print_too_large(const ProofMemory& m, const MemoryRoom& room, const std::vector<std::string>& settings) {
  std::ostringstream out;
  out << "the proof of " << m.layout.name() << " needs " << mib(m.total()) << " MiB, but " << mib(room.of_host)
      << " are " << room.limited_by;
  if (room.of_process != INT64_MAX) out << " and " << mib(room.of_process) << " left to a process by ulimit -v";
  out << '\n';
  for (const auto& [name, bytes] : m.bytes) {
    out << "  " << std::left << std::setw(48) << name << std::right << std::setw(14) << mib(bytes) << '\n';
  }
  if (settings.empty()) {
    out << "No smaller config with the same features fits either; prove layouts with fewer ranks, or use more memory";
    return out.str();
  }
  out << "A smaller config with the same features, for which there is room:\n ";
  for (const std::string& setting : settings) out << " --set " << setting;
  return out.str();
}

}  // namespace birkhoff
