#include "trainer/plan/dry_rank.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/tokenizer/tokenizer.h"
#include "kernels/core/error.h"
#include "parallel/comm/engine/memory_exchange.h"
#include "trainer/config/layout_rules.h"
#include "trainer/step/build.h"
#include "trainer/step/gain_meter.h"

namespace birkhoff {
namespace {

class WorkCount final : public OpObserver {
 public:
  void begin(std::string_view) override {}
  void end() override {}
  void flops(double count) override { total += count; }
  double total = 0;
};

// A step of microbatches of zeros, since only sizes matter on the meta device. It has one table row for each lookup of
// one microbatch, as if no two tokens looked up the same row.
StepBatch placeholder_step(const Config& c, int num_microbatches) {
  Batch b;
  b.num_sequences = c.batch.micro_batch_size;
  b.sequence_length = c.batch.sequence_length;
  const auto T = static_cast<size_t>(b.num_tokens());
  b.tokens = b.positions = std::vector<int32_t>(T, 0);
  for (int64_t t = 0; t < b.num_tokens(); ++t) {
    b.document_start.push_back(static_cast<int32_t>(t / b.sequence_length * b.sequence_length));
  }
  b.targets.assign(static_cast<size_t>(1 + c.model.mtp.depth), std::vector<int32_t>(T, 0));
  b.loss_weights.assign(T, 1.0f);
  StepBatch step;
  const size_t rows = T * static_cast<size_t>(c.model.engram.rows_per_token());
  for (size_t i = 0; i < c.model.engram.layers.size(); ++i) {
    b.engram_index.emplace_back(rows, 0);
    step.engram_rows.emplace_back(rows, 0);
  }
  step.local_targets.assign(b.targets.size(), b.num_tokens());
  step.local_tokens = step.global_tokens = b.num_tokens();
  step.microbatches.assign(static_cast<size_t>(num_microbatches), b);
  return step;
}

int64_t ceil_div(int64_t value, int64_t parts) { return (value + parts - 1) / parts; }

Mesh::MakeGroup dry_groups(int rank, int ranks_on_host, Traffic& traffic) {
  return [rank, ranks_on_host, &traffic](const std::string& name, const std::vector<int>& members) {
    GroupPlace place{.name = name, .size = static_cast<int>(members.size()), .local_size = 0};
    for (const int member : members) {
      const bool local = member / ranks_on_host == rank / ranks_on_host;
      place.rank += member < rank;
      place.local_rank += local && member < rank;
      place.local_size += local;
    }
    return make_dry_group(place, traffic);
  };
}

}  // namespace

Config with_vocabulary(Config c) {
  if (c.model.vocab_size > 0) return c;
  BK_CHECK(!c.data.tokenizer.empty(),
           "model.vocab_size is 0, so it is the tokenizer's, but data.tokenizer names none; give one of the two");
  std::error_code ignored;
  BK_CHECK(std::filesystem::exists(c.data.tokenizer, ignored), "model.vocab_size is 0, so it is the tokenizer's, but ",
           "data.tokenizer, '", c.data.tokenizer,
           "', does not exist; train it first, or give --set model.vocab_size=...");
  c.model.vocab_size = Tokenizer::load(c.data.tokenizer).vocab_size();
  return c;
}

DryRank::DryRank(const Config& config, const MeshDegrees& layout, int rank, int ranks_on_host) : config_(config) {
  const int64_t vocab = config_.model.vocab_size;
  BK_ASSERT(vocab > 0 && layout.dp > 0, "a dry rank needs a vocabulary and all degrees");
  if (!config_.model.engram.layers.empty())
    hash_ = std::make_unique<EngramHash>(engram_hash_spec(config_, vocab, config_.model.engram.pad_id));
  mesh_ = std::make_unique<Mesh>(layout.tp * layout.cp * layout.dp * layout.pp, rank, with_ep_groups(config_, layout),
                                 dry_groups(rank, ranks_on_host, traffic_));
  model_ =
      std::make_unique<Model>(make_model({DeviceKind::meta, 0}, *mesh_, model_options(config_, vocab, hash_.get())));
}

// Memory reaches its peak only in the second step. One reason is that the two gradient arenas of the frame have then
// changed places. The other is that a logged step keeps the mixing matrices in another arena to measure the gain: if
// the run has steps that are not logged, the peak comes when a logged step follows one of them.
DryRank::Run DryRank::run() {
  Run run;
  WorkCount work;
  Stream stream{model_->build.device};
  stream.observer = &work;
  Trainer trainer(stream, *mesh_, *model_, trainer_options(config_, hash_.get()));
  const StepBatch batch = placeholder_step(config_, 1);
  const double tokens = static_cast<double>(batch.local_tokens);
  trainer.evaluate(batch);
  run.forward_flops = work.total / tokens;
  trainer.measure_gain(config_.run.log_interval == 1);
  trainer.step(batch, 0);
  trainer.measure_gain(true);
  work.total = 0;
  trainer.step(batch, 0, [&] { run.training_flops = work.total / tokens; });
  run.optimizers = trainer.optimizer_table();
  run.bytes = held_bytes(*model_, trainer, config_.batch.micro_batch_size * config_.batch.sequence_length);
  run.bytes.table_rows = row_bytes();
  run.bytes.communication_buffers = buffer_bytes();
  return run;
}

// Tokens of a step whose layers this rank computes alone: the ranks of a stage share them.
int64_t DryRank::tokens_of_step() const {
  return ceil_div(config_.batch.global_batch_size * config_.batch.sequence_length, mesh_->group(Group::stage).size());
}

int64_t DryRank::rows_of_step(const ShardedRowStore& table) const {
  return std::min(table.num_rows(), tokens_of_step() * config_.model.engram.rows_per_token());
}

int64_t DryRank::row_bytes() const {
  int64_t bytes = 0;
  for (const auto& table : model_->tables)
    bytes += 2 * rows_of_step(*table) * table->row_width() * static_cast<int64_t>(sizeof(float));
  return bytes;
}

// This rank's share of the areas through which the ranks of a host exchange blocks. Besides the groups of the mesh, the
// world and the writer of checkpoints have one each.
int64_t DryRank::buffer_bytes() const {
  std::set<const Communicator*> groups;
  for (int g = 0; g < kNumGroups; ++g) groups.insert(&mesh_->group(static_cast<Group>(g)));
  const auto share = [](const Communicator& group) {
    const auto board = static_cast<int64_t>(Board::bytes_for(group.local_size(), BlockPath::staged));
    return group.size() > 1 ? ceil_div(board, group.local_size()) : 0;
  };
  int64_t bytes = 2 * share(mesh_->world());
  for (const Communicator* group : groups) bytes += group->name() == "world" ? 0 : share(*group);
  return bytes;
}

Traffic DryRank::traffic_of(const std::function<void()>& body) {
  traffic_.clear();
  body();
  return std::exchange(traffic_, {});
}

// The gain of all microbatches is exchanged together at the end of a step. A rank's part of such a sum does not grow by
// the same number of elements with each microbatch.
Traffic DryRank::gain_traffic(Trainer& trainer, int64_t microbatches) {
  trainer.measure_gain(true);
  const bool measured = trainer.step(placeholder_step(config_, 1), 0).gain.has_value();
  trainer.measure_gain(false);
  if (!measured) return {};
  Arena memory(model_->build.device);
  const std::vector<std::vector<double>> sums(static_cast<size_t>(microbatches), std::vector<double>(3));
  return traffic_of([&] { GainMeter(memory).largest(sums, mesh_->group(Group::tp), mesh_->world()); });
}

// Without the gain, what layers exchange grows with the number of microbatches, and nothing else does. So two steps,
// which differ by one microbatch, tell it apart.
std::vector<SentBytes> DryRank::sent() {
  Stream stream{model_->build.device};
  Trainer trainer(stream, *mesh_, *model_, trainer_options(config_, hash_.get()));
  ParameterStore& parameters = *model_->parameters;
  Traffic one = traffic_of([&] { trainer.step(placeholder_step(config_, 1), 0); });
  Traffic two = traffic_of([&] { trainer.step(placeholder_step(config_, 2), 0); });
  Traffic gradients = traffic_of([&] {
    for (int unit = 0; unit < model_->num_units(); ++unit) parameters.start_reduce(stream, unit);
    parameters.wait_reduced(stream);
  });
  Traffic weights = traffic_of([&] { parameters.publish(stream); });
  Traffic matrices = traffic_of([&] { trainer.optimizer().step(stream, {}); });
  const int64_t microbatches =
      config_.batch.global_batch_size / (config_.batch.micro_batch_size * mesh_->degree(Axis::dp));
  Traffic gain = gain_traffic(trainer, microbatches);
  std::set<std::string> names;
  for (int g = 0; g < kNumGroups; ++g) {
    const Communicator& group = mesh_->group(static_cast<Group>(g));
    if (group.size() > 1) names.insert(group.name());
  }
  std::vector<SentBytes> sent;
  for (const std::string& name : names) {
    SentBytes s{.group = name, .gradients = gradients[name], .weights = weights[name], .matrices = matrices[name]};
    const int64_t of_microbatch = two[name] - one[name];
    s.layers = of_microbatch * microbatches;
    s.sums = one[name] - of_microbatch - s.gradients - s.weights - s.matrices;
    BK_ASSERT(of_microbatch >= 0 && s.sums >= 0, "group ", name, " sends ", one[name], " and ", two[name], " bytes");
    s.sums += gain[name];
    for (const auto& table : model_->tables) {
      if (table->group().name() != name) continue;
      // To ask for the rows, and again to return their gradients, a rank sends the numbers of rows and their count.
      const int64_t rows = rows_of_step(*table), number = sizeof(int64_t);
      s.table_rows += 2 * (rows + table->group().size() - 1) * number;
      s.table_rows += 2 * rows * table->row_width() * static_cast<int64_t>(sizeof(float));
    }
    sent.push_back(s);
  }
  return sent;
}

}  // namespace birkhoff
