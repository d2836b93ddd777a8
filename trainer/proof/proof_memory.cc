#include "trainer/proof/proof_memory.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "trainer/plan/describe.h"

namespace birkhoff {
namespace {

// The second of two steps without loading, and the first.
constexpr int64_t kChainedSteps = 2;

// Sizes of a model in elements, and of a batch in tokens.
struct Sizes {
  int64_t parameters, tables, weights, divided;  // weights: parameters and router biases; divided: moments and tables
  int64_t documents;                             // bytes of the batches of a step, over all replicas
  int64_t choices;                               // of experts in a step, those of the balance loss included
  // A step of which a proof keeps everything: gradients and the state after it.
  int64_t of_step() const { return parameters + tables + weights + divided; }
};

Sizes sizes_of(const Config& c) {
  const ModelDescription d = describe_model(c);
  const auto value = static_cast<int64_t>(sizeof(float));  // the description is that of the recipe f32
  Sizes s{};
  for (const ModelDescription::Count& count : d.counts) s.parameters += count.parameters;
  s.tables = d.table_parameters();
  s.weights = d.bytes.weights / value;
  s.divided = (d.bytes.moments + d.bytes.table_moments) / value + s.tables;
  const int64_t tokens = c.batch.global_batch_size * c.batch.sequence_length;
  // Of a token: itself, its targets, position, document and weight; the number of each row and its place in the step.
  const auto tables = static_cast<int64_t>(c.model.engram.layers.size());
  s.documents = tokens * (4 * (5 + c.model.mtp.depth) + 12 * tables * c.model.engram.rows_per_token());
  int64_t routers = 0;
  for (int64_t layer = 0; layer < c.model.num_layers; ++layer) routers += c.model.moe.at(layer) ? 1 : 0;
  if (c.model.moe.at(c.model.num_layers)) routers += c.model.mtp.depth;
  s.choices = routers * tokens * 2 * c.model.moe.top_k;
  return s;
}

constexpr auto kDouble = static_cast<int64_t>(sizeof(double));

// Bytes that a rank keeps while the tensors of a state are put together (assemble()): its own parts twice, the parts of
// all ranks twice, and the result. Every rank holds the weights, and a part of the rest.
int64_t assembly(const Sizes& s, int64_t ranks) {
  const int64_t own = s.weights + s.divided / ranks, all = ranks * s.weights + s.divided;
  return kDouble * (2 * own + 2 * all + s.weights + s.divided);
}

ProofMemory memory_of(const Config& c, const Sizes& s, const ProofLayout& layout, int64_t steps, int ranks_on_host) {
  const int64_t here = std::min(layout.ranks, ranks_on_host), result = kDouble * s.of_step();
  const auto choice = static_cast<int64_t>(sizeof(int32_t));
  const int64_t recorded = steps * (result + 2 * choice * s.choices);  // of the step and of an evaluation
  const int64_t taken = (steps + kChainedSteps) * result;
  // While the ranks of the layout run, each of them keeps its steps and one record of choices.
  const int64_t ranks = here * plan_memory(c, layout.degrees.dp, static_cast<int>(here)).total();
  const int64_t while_running = here * (taken + assembly(s, layout.ranks) + 2 * choice * s.choices);
  // Afterwards one rank repeats the updates, and keeps the state before and after each.
  const int64_t one = plan_memory(c, 1, 1).total();
  const int64_t while_judging = taken + steps * 2 * kDouble * (s.weights + s.divided) + assembly(s, 1);
  ProofMemory m{layout, {{"steps of one rank, recorded", recorded}, {"documents of a step", s.documents}}};
  if (ranks + while_running >= one + while_judging) {
    m.bytes.emplace_back(concat("training on ", here, here == 1 ? " rank" : " ranks"), ranks);
    m.bytes.emplace_back(concat("steps of ", layout.name(), " in f64, on each of them"), while_running);
  } else {
    m.bytes.emplace_back("training on 1 rank", one);
    m.bytes.emplace_back(concat("steps of ", layout.name(), " and updates of one rank in f64"), while_judging);
  }
  return m;
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
