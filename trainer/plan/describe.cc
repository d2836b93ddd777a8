#include "trainer/plan/describe.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "data/tokenizer/tokenizer.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/plan/model_memory.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

int64_t vocab_size_of(const Config& c) {
  if (c.model.vocab_size > 0) return c.model.vocab_size;
  BK_CHECK(!c.data.tokenizer.empty(),
           "model.vocab_size is 0, so it is the tokenizer's, but data.tokenizer names none; give one of the two");
  std::error_code ignored;
  BK_CHECK(std::filesystem::exists(c.data.tokenizer, ignored), "model.vocab_size is 0, so it is the tokenizer's, but ",
           "data.tokenizer, '", c.data.tokenizer,
           "', does not exist; train it first, or give --set model.vocab_size=...");
  return Tokenizer::load(c.data.tokenizer).vocab_size();
}

class WorkCount final : public OpObserver {
 public:
  void begin(std::string_view) override {}
  void end() override {}
  void flops(double count) override { total += count; }
  double total = 0;
};

// Sums the bytes of the tensors that a part of a run's state visits.
class StateBytes final : public StateVisitor {
 public:
  void replicated(const std::string&, Tensor t, const Slice&, const Communicator&) override { add(t); }
  void shard(const std::string&, Tensor t, const Slice&) override { add(t); }
  void integer(const std::string&, int64_t&) override {}
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}
  int64_t total = 0;

 private:
  void add(Tensor t) { total += static_cast<int64_t>(t.bytes()); }
};

// Bytes of the tensors that `owner` saves in a checkpoint.
template <class Owner>
int64_t state_bytes(Owner& owner) {
  StateBytes bytes;
  owner.state(bytes);
  return bytes.total;
}

// A step with one microbatch of zeros, since only its sizes matter on the meta device. It has one table row for each
// lookup, as if no two tokens looked up the same row.
StepBatch placeholder_step(const Config& c) {
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
  step.microbatches.push_back(std::move(b));
  return step;
}

void count_parameters(const Model& model, ModelDescription& d) {
  const MoeOptions& moe = model.decoder->options().moe;
  const double chosen = moe.num_experts > 0 ? static_cast<double>(moe.top_k) / static_cast<double>(moe.num_experts) : 0;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    auto at = std::find_if(d.counts.begin(), d.counts.end(), [&](const ModelDescription::Count& c) {
      return c.part == p.part && c.predictor == p.predictor && c.role == p.role;
    });
    if (at == d.counts.end()) at = d.counts.insert(at, {p.part, p.predictor, p.role, 0, 0});
    at->parameters += p.shape.count();
    at->active += static_cast<double>(p.shape.count()) * (p.role == Role::experts ? chosen : 1.0);
    // Each use of a parameter (a tied embedding, MTP) has an accumulator of its own.
    d.bytes.gradients += p.num_uses * static_cast<int64_t>(p.grad.bytes());
  }
  for (const PersistentBuffer* b : model.parameters->buffers()) {
    (b->predictor ? d.mtp_router_biases : d.router_biases) += b->shape.count();
  }
}

void list_sites(const Model& model, ModelDescription& d) {
  std::map<std::string, int64_t> sizes;
  std::vector<std::string> order;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    if (p.part != Part::hyper_connections) continue;
    const std::string site = p.name.substr(0, p.name.rfind('.'));
    if (!sizes.contains(site)) order.push_back(site);
    sizes[site] += p.shape.count();
  }
  for (const std::string& site : order) d.sites.push_back({site, sizes[site]});
}

// Runs one forward as an evaluation does, and two training steps. Memory reaches its peak only in the second step. One
// reason is that the two gradient arenas of the frame have then changed places. The other is that a logged step keeps
// the mixing matrices in another arena to measure the gain: if the run has steps that are not logged, the peak comes
// when a logged step follows one of them.
void run_step(const Config& c, const TrainerOptions& options, const Mesh& alone, Model& model, ModelDescription& d) {
  WorkCount work;
  Stream stream{model.build.device};
  stream.observer = &work;
  Trainer trainer(stream, alone, model, options);
  const StepBatch batch = placeholder_step(c);
  const double tokens = static_cast<double>(batch.local_tokens);
  trainer.evaluate(batch);
  d.counted_forward = work.total / tokens;
  trainer.measure_gain(c.run.log_interval == 1);
  trainer.step(batch, 0);
  trainer.measure_gain(true);
  work.total = 0;
  trainer.step(batch, 0, [&] { d.counted_training = work.total / tokens; });
  d.bytes.activations = static_cast<int64_t>(trainer.peak_activation_bytes());
  d.bytes.weights = state_bytes(*model.parameters);
  for (auto& table : model.tables) d.bytes.tables += state_bytes(*table);
  d.bytes.moments = state_bytes(trainer.optimizer());
  for (auto& table : trainer.table_optimizers()) d.bytes.table_moments += state_bytes(*table);
  d.bytes.packed_weights = packed_weight_bytes(model);
  d.bytes.kernel_scratch = kernel_scratch_bytes(model, batch.local_tokens);
  d.optimizers = trainer.optimizer_table();
}

}  // namespace

ModelDescription describe_model(const Config& c) {
  ModelDescription d;
  const int64_t vocab = vocab_size_of(c);
  std::unique_ptr<EngramHash> hash;
  if (!c.model.engram.layers.empty())
    hash = std::make_unique<EngramHash>(engram_hash_spec(c, vocab, c.model.engram.pad_id));
  const auto world = make_thread_world(1);
  const ModelOptions options = model_options(c, vocab, hash.get());
  const Mesh alone(*world[0], {});
  Model model = make_model({DeviceKind::meta, 0}, alone, options);
  count_parameters(model, d);
  list_sites(model, d);
  for (const auto& t : model.tables) {
    d.tables.push_back({t->name(), t->num_rows(), t->row_width(), options.decoder.engram.rows_per_token()});
  }
  d.microbatch_tokens = c.batch.micro_batch_size * c.batch.sequence_length;
  d.sequence_length = c.batch.sequence_length;
  d.flops = flops_terms(options.decoder, d.sequence_length);
  run_step(c, trainer_options(c, hash.get()), alone, model, d);
  return d;
}

int64_t ModelDescription::total() const {
  int64_t sum = router_biases;
  for (const Count& c : counts) sum += c.predictor ? 0 : c.parameters;
  return sum;
}

int64_t ModelDescription::mtp_total() const {
  int64_t sum = mtp_router_biases;
  for (const Count& c : counts) sum += c.predictor ? c.parameters : 0;
  return sum;
}

double ModelDescription::active() const {
  double sum = static_cast<double>(router_biases);
  for (const Count& c : counts) sum += c.predictor ? 0 : c.active;
  return sum;
}

int64_t ModelDescription::parameters_of(Part part) const {
  int64_t sum = 0;
  for (const Count& c : counts) sum += c.part == part && !c.predictor ? c.parameters : 0;
  return sum;
}

int64_t ModelDescription::table_parameters() const {
  int64_t sum = 0;
  for (const Table& t : tables) sum += t.rows * t.width;
  return sum;
}

}  // namespace birkhoff
