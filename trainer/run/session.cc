#include "trainer/run/session.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "data/ingest/commands.h"
#include "data/tokenizer/compression.h"
#include "kernels/core/cpu/crowded.h"
#include "kernels/core/hash.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/mpi/host_memory.h"
#include "trainer/config/layout_rules.h"
#include "trainer/plan/memory.h"
#include "trainer/run/usable_cores.h"

namespace birkhoff {
Session::Session(WatchedWorld& watched, const LoadedConfig& loaded, const RunReports& reports)
    : config_(loaded.config), origins_(loaded.origins), reports_(reports), watched_(&watched) {
  const auto deadline = guard_startup();
  const MeshDegrees degrees = with_ep_groups(config_, degrees_of(config_.parallel));
  // Before the mesh, since its groups are made by collectives, in which a rank may hang.
  watched.set_names(names_of_layout(degrees, world().size()));
  mesh_ = std::make_unique<Mesh>(world(), degrees);
  log_groups_without_host_memory();
  {
    // Collective, so it stands outside of agree().
    const int threads = threads_of(config_.run.threads, world());
    agree(world(), [&] { start_watched_team(threads); });
  }
  agree(world(), [&] { load_tokenizer(); });
  agree(world(), [&] { plan_memory(); });
  take_largest_plan();
  if (!memory_plan_.empty()) log(memory_plan_);
  agree(world(), [&] { within_memory([&] { build_model(); }); });
}

Watchdog::Scope Session::guard_startup() const {
  return watched_->watchdog().guard("start-up", config_.parallel.timeout_init_s, "parallel.timeout_init_s");
}

Watchdog::Scope Session::guard_step() const {
  return watched_->watchdog().guard(concat("step ", trainer_->steps_done() + 1), config_.parallel.timeout_step_s,
                                    "parallel.timeout_step_s");
}

Watchdog::Scope Session::guard_checkpoint() const {
  return watched_->watchdog().guard("checkpoint", config_.parallel.timeout_checkpoint_s,
                                    "parallel.timeout_checkpoint_s");
}

Watchdog::Scope Session::guard_evaluation() const {
  return watched_->watchdog().guard("evaluation", config_.parallel.timeout_eval_s, "parallel.timeout_eval_s");
}

void Session::load_tokenizer() {
  BK_CHECK(!config_.data.tokenizer.empty(), "data.tokenizer is not set; expected the tokenizer.json of the data");
  tokenizer_ = Tokenizer::load(config_.data.tokenizer);
  tokenizer_digest_ = tokenizer_digest(tokenizer_->to_json());
  const int64_t vocab = tokenizer_->vocab_size(), asked = config_.model.vocab_size;
  BK_CHECK(asked == 0 || asked >= vocab, "model.vocab_size is ", asked, ", but ", config_.data.tokenizer, " has ",
           vocab, " tokens; set model.vocab_size to 0 or at least ", vocab);
  BK_CHECK(config_.model.engram.layers.empty() || config_.model.engram.pad_id < vocab, "model.engram.pad_id is ",
           config_.model.engram.pad_id, ", but the tokenizer has ", vocab, " tokens");
}

int64_t Session::vocab_rows() const {
  return config_.model.vocab_size > 0 ? config_.model.vocab_size : tokenizer_->vocab_size();
}

void Session::plan_memory() {
  Config config = config_;
  // Set, so that the plan need not load the tokenizer again.
  config.model.vocab_size = vocab_rows();
  MeshDegrees layout = degrees_of(config.parallel);
  layout.dp = mesh_->degree(Axis::dp);
  const MemoryPlan plan = birkhoff::plan_memory(config, layout, world().rank(), world().local_size());
  memory_plan_ = print(plan, memory_room());
  planned_bytes_ = plan.total();
}

// Replaces the plan of each rank by that of the rank that holds the most, which decides whether the run fits.
void Session::take_largest_plan() {
  const std::vector<int64_t> bytes = all_gather_on_host(world(), planned_bytes_);
  const auto fullest = static_cast<int>(std::max_element(bytes.begin(), bytes.end()) - bytes.begin());
  memory_plan_ = broadcast_on_host(world(), memory_plan_, fullest);
}

void Session::within_memory(const std::function<void()>& body) const {
  try {
    body();
  } catch (const std::bad_alloc&) {
    throw UserError(concat("memory ran out\n", memory_plan_, kMemoryRemedies));
  }
}

void Session::build_model() {
  const DecoderOptions& m = config_.model;
  const int64_t rows = vocab_rows();
  if (!m.engram.layers.empty()) {
    TokenizerCompression map = compress_tokenizer(*tokenizer_);
    if (!m.engram.compression) {
      // Without compression every token stands for itself.
      map.compressed_size = tokenizer_->vocab_size();
      std::iota(map.map.begin(), map.map.end(), 0);
    }
    token_map_digest_ = map.sha256_int32();
    const int64_t pad = map.map[static_cast<size_t>(m.engram.pad_id)];
    engram_ = std::make_shared<EngramAddresses>(engram_hash_spec(config_, map.compressed_size, pad), map.map);
  }
  const EngramHash* hash = engram_ ? &engram_->hash() : nullptr;
  const Stream stream{device_of(config_)};
  model_ = std::make_unique<Model>(make_model(stream.device, *mesh_, model_options(config_, rows, hash)));
  trainer_ = std::make_unique<Trainer>(stream, *mesh_, *model_, trainer_options(config_, hash));
  Stream setup = stream;
  model_->initialize(setup, static_cast<uint64_t>(config_.run.seed));
}

std::filesystem::path Session::checkpoints() const { return config_.checkpoint.dir; }

void Session::log_groups_without_host_memory() const {
  std::string names;
  for (const std::string& name : groups_without_host_memory()) names += (names.empty() ? "" : ", ") + name;
  if (names.empty()) return;
  log(concat("no shared memory (/dev/shm) for groups of ranks: ", names,
             ". They exchange messages within a host, which ", "is slower; each rank may have ",
             kMostHostMemory_bytes >> 20, " MiB, if the host has as much"));
}

void Session::log(const std::string& line) const {
  if (is_root() && reports_.log) reports_.log(line);
}

LoaderOptions Session::loader_options() const {
  LoaderOptions o;
  for (const SourceConfig& s : config_.data.sources) {
    const std::string name = s.name.empty() ? source_name(s.path) : s.name;
    o.sources.push_back({name, s.path, s.weight});
  }
  o.seed = static_cast<uint64_t>(config_.data.seed);
  o.vocab_size = model_->decoder->options().vocab_size;
  o.tokenizer_digest = tokenizer_digest_;
  o.mtp_depth = static_cast<int>(config_.model.mtp.depth);
  o.bad_samples = config_.data.bad_samples;
  o.max_bad_samples = config_.data.max_bad_samples;
  o.mixture_change = config_.data.mixture_change;
  o.replica = mesh_->coordinate(Axis::dp);
  o.num_replicas = mesh_->degree(Axis::dp);
  o.prefetch_steps = static_cast<int>(config_.data.prefetch);
  o.engram = engram_;
  return o;
}

EvalOptions Session::eval_options() const {
  EvalOptions o;
  o.directory = config_.eval.data;
  o.vocab_size = model_->decoder->options().vocab_size;
  o.tokenizer_digest = tokenizer_digest_;
  o.sequence_length = config_.batch.sequence_length;
  o.microbatch_sequences = config_.batch.micro_batch_size;
  o.context_tokens = config_.batch.sequence_length / 2;
  o.max_sequences = config_.eval.sequences;
  o.mtp_depth = static_cast<int>(config_.model.mtp.depth);
  o.replica = mesh_->coordinate(Axis::dp);
  o.num_replicas = mesh_->degree(Axis::dp);
  o.engram = engram_;
  return o;
}

// The primes and multipliers of each table. They are saved with the tables, since they define which row an n-gram has:
// a program that would address the rows in another way is refused.
std::string Session::table_description() const {
  std::ostringstream out;
  for (size_t i = 0; i < model_->tables.size(); ++i) {
    const EngramTable& t = engram_->hash().table(static_cast<int64_t>(i));
    out << model_->tables[i]->name() << " multipliers";
    for (int64_t m : t.multipliers) out << ' ' << m;
    out << " primes";
    for (int64_t p : t.primes) out << ' ' << p;
    out << '\n';
  }
  return out.str();
}

// Weights belong to one numbering of the tokens. With another tokenizer the model would produce nonsense without any
// error.
void Session::check_tokenizer(StateVisitor& v) const {
  std::string stored = tokenizer_digest_, map = token_map_digest_;
  v.text("tokenizer.digest", stored);
  BK_CHECK(stored == tokenizer_digest_, "the checkpoint was trained with another tokenizer, of digest ", stored,
           "; data.tokenizer, ", config_.data.tokenizer, ", has ", tokenizer_digest_,
           ". Give the one of the run, which the checkpoint holds as tokenizer.json, or start a new run in another "
           "run.dir");
  v.text("engram.token_map", map);
  if (map != token_map_digest_) {
    throw DataError(concat("the checkpoint's Engram tables are addressed by another map of the tokens, of digest ", map,
                           "; this program makes ", token_map_digest_,
                           " of the same tokenizer. Resume with the program that wrote it"));
  }
}

void Session::state(StateVisitor& v, Progress& progress) {
  check_tokenizer(v);
  trainer_->state(v);
  progress.state(v);
  const std::string ours = table_description();
  std::string stored = ours;
  v.text("engram.tables", stored);
  if (stored != ours) {
    throw DataError(concat("the checkpoint's Engram tables are addressed as\n", stored,
                           "but this run addresses them as\n", ours, "Resume with the program that wrote it"));
  }
}

std::map<std::string, std::string> Session::attachments() const {
  return {{"config.yaml", print_config(config_, origins_)}, {"tokenizer.json", tokenizer_->to_json()}};
}

}  // namespace birkhoff
