#include "trainer/proof/rank.h"

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/host_values.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/config/layout_rules.h"
#include "trainer/proof/free_routing.h"
#include "trainer/proof/weights.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

std::vector<int64_t> read_rows(Stream& stream, Tensor rows) {
  std::vector<int64_t> numbers(static_cast<size_t>(rows.count()));
  to_host(stream, numbers.data(), rows);
  return numbers;
}

// The rows of a table as a slice of it.
Slice slice_of(const std::vector<int64_t>& rows, int64_t num_rows, int64_t width) {
  Slice slice{{num_rows, width}, {}};
  for (const int64_t row : rows) slice.boxes.push_back({{row, 0}, {1, width}});
  return slice;
}

}  // namespace

ProofRank::ProofRank(Communicator& world, const Config& config, MeshDegrees degrees)
    : world_(&world),
      config_(config),
      learning_rate_(config.optimizer.schedule.learning_rate),
      stream_{device_of(config)},
      mesh_(world, with_ep_groups(config, degrees)),
      engram_(addresses_without_tokenizer(config)) {
  const EngramHash* hash = engram_ ? &engram_->hash() : nullptr;
  const Device device = device_of(config);
  model_ = std::make_unique<Model>(make_model(device, mesh_, model_options(config, config.model.vocab_size, hash)));
  trainer_ = std::make_unique<Trainer>(stream_, mesh_, *model_, trainer_options(config, hash));
  trainer_->measure_gain(true);
}

void ProofRank::set_values() {
  set_trained_values(stream_, *model_, static_cast<uint64_t>(config_.run.seed), Scores::clear);
}

std::map<std::string, std::vector<int64_t>> ProofRank::matrix_begins() const {
  std::map<std::string, std::vector<int64_t>> begins;
  for (const auto& table : trainer_->table_optimizers()) begins[table->table().name()] = table->matrix_begins();
  return begins;
}

RoutingTape::Share ProofRank::share() const {
  const BatchConfig& b = config_.batch;
  const int64_t each = b.global_batch_size / mesh_.degree(Axis::dp) / b.micro_batch_size;
  return {static_cast<size_t>(each * mesh_.coordinate(Axis::dp)),
          {mesh_.coordinate(Axis::tp), mesh_.degree(Axis::tp)},
          b.sequence_length};
}

std::vector<HeldPart> ProofRank::gradients() {
  std::vector<HeldPart> parts;
  for (const ParameterStore::Owned& o : model_->parameters->owned()) {
    parts.push_back({o.parameter->name, o.slice, read_values(stream_, o.gradient)});
  }
  return parts;
}

void ProofRank::collect_rows(StepResult& result) {
  std::vector<HeldPart> parts;
  for (const auto& table : model_->tables) {
    const std::vector<int64_t> rows = read_rows(stream_, table->gradient().rows);
    parts.push_back({table->name(), slice_of(rows, table->num_rows(), table->row_width()),
                     read_values(stream_, table->gradient().values)});
    const std::vector<int64_t> counts = all_gather_on_host(*world_, static_cast<int64_t>(rows.size()));
    const auto all = all_gather_v_on_host(*world_, std::span<const int64_t>(rows), counts);
    result.touched_rows[table->name()] = {all.begin(), all.end()};
  }
  result.row_gradients = assemble(*world_, std::move(parts), Missing::zero);
}

Whole ProofRank::state() {
  PartCollector collector(stream_);
  trainer_->state(collector);
  return assemble(*world_, std::move(collector.parts));
}

Whole ProofRank::choices(const RoutingRecord& record) { return assemble(*world_, choices_of(record, share())); }

StepResult ProofRank::step(const DrawnDocuments& documents, int64_t number, Instrument* instrument) {
  const StepBatch batch = documents.share(number, mesh_.coordinate(Axis::dp), mesh_.degree(Axis::dp));
  StepResult result;
  trainer_->set_instrument(instrument);
  result.report = trainer_->step(batch, learning_rate_, [&] {
    result.gradients = assemble(*world_, gradients());
    collect_rows(result);
    for (const ParameterStore::Router& router : model_->parameters->routers()) {
      result.loads[router.load->name] = read_values(stream_, router.load->value);
    }
  });
  trainer_->set_instrument(nullptr);
  Communicator& replicas = mesh_.group(Group::batch);
  result.tokens = all_reduce_on_host(replicas, static_cast<double>(batch.local_tokens));
  for (const int64_t targets : batch.local_targets) {
    result.targets.push_back(all_reduce_on_host(replicas, static_cast<double>(targets)));
  }
  result.state = state();
  compare_reports(result);
  return result;
}

// Every rank decides by its own report, so all must have the same bits.
void ProofRank::compare_reports(StepResult& result) {
  const StepReport& r = result.report;
  static constexpr const char* kNames[] = {"the loss", "the balance loss", "the gradient norm", "the skip reason"};
  const std::vector<double> own = {r.loss, r.balance_loss, r.grad_norm, static_cast<double>(r.skip_reason)};
  const std::vector<int64_t> counts(static_cast<size_t>(world_->size()), static_cast<int64_t>(own.size()));
  const std::vector<double> all = all_gather_v_on_host(*world_, std::span<const double>(own), counts);
  for (size_t i = own.size(); i < all.size(); ++i) {
    const double of_rank_0 = all[i % own.size()];
    if (all[i] == of_rank_0) continue;
    result.state.faults.push_back(
        concat("rank ", i / own.size(), " reports ", kNames[i % own.size()], " ", all[i], ", rank 0 ", of_rank_0));
  }
}

double ProofRank::evaluate(const DrawnDocuments& documents, int64_t number, Instrument* instrument) {
  const StepBatch batch = documents.share(number, mesh_.coordinate(Axis::dp), mesh_.degree(Axis::dp));
  trainer_->set_instrument(instrument);
  const Trainer::Evaluation sums = trainer_->evaluate(batch);
  trainer_->set_instrument(nullptr);
  double both[] = {sums.nats, sums.tokens};
  all_reduce_on_host(mesh_.group(Group::batch), std::span(both));
  return both[0] / both[1];
}

Whole ProofRank::update_with(const StepResult& other) {
  BK_ASSERT(world_->size() == 1, "a world of ", world_->size());
  model_->parameters->begin_step(stream_);
  for (const ParameterStore::Owned& o : model_->parameters->owned()) {
    write_values(stream_, o.gradient, other.gradients.tensors.at(o.parameter->name).values);
  }
  Arena memory(stream_.device);
  for (const auto& table : model_->tables) {
    const std::set<int64_t>& touched = other.touched_rows.at(table->name());
    const std::vector<int64_t> rows(touched.begin(), touched.end());
    const std::vector<double>& all = other.row_gradients.tensors.at(table->name()).values;
    std::vector<double> values;
    slice_of(rows, table->num_rows(), table->row_width()).for_each_run([&](int64_t first, int64_t, int64_t count) {
      values.insert(values.end(), all.begin() + first, all.begin() + first + count);
    });
    const Tensor sent =
        memory.take(table->local_values().dtype, {static_cast<int64_t>(rows.size()), table->row_width()});
    write_values(stream_, sent, values);
    table->add_gradients(stream_, rows, sent);
  }
  for (const ParameterStore::Router& router : model_->parameters->routers()) {
    write_values(stream_, router.load->value, other.loads.at(router.load->name));
  }
  const double max_norm = config_.optimizer.clip_norm, norm = other.report.grad_norm;
  trainer_->update_only(learning_rate_, max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0);
  return state();
}

void ProofRank::save(const std::filesystem::path& directory) {
  CheckpointWriter writer(*world_, stream_.device, {directory, 1, false});
  writer.begin(trainer_->steps_done(), [this](StateVisitor& v) { trainer_->state(v); }, {});
  const auto report = writer.finish();
  if (report && !report->saved) throw UserError(report->error);
}

void ProofRank::load(const std::filesystem::path& directory) {
  const auto found = find_newest_valid(*world_, directory);
  BK_ASSERT(found, "no checkpoint in ", directory.string());
  load_checkpoint(*world_, found->path, found->manifest, stream_.device,
                  [this](StateVisitor& v) { trainer_->state(v); });
  model_->parameters->values_changed();
}

}  // namespace birkhoff
