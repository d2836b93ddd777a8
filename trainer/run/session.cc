#include "trainer/run/session.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <sstream>

#include <sched.h>
#include <unistd.h>

#include "data/ingest/commands.h"
#include "data/tokenizer/compression.h"
#include "kernels/core/cpu/crowded.h"
#include "kernels/core/hash.h"
#include "parallel/comm/agree.h"
#include "trainer/plan/memory.h"
#include "trainer/run/named_checkpoint.h"

namespace birkhoff {
namespace {

struct UsableCores {
  std::array<char, 64> host{};
  cpu_set_t set{};
};

// The cores that a rank may use, each divided by the ranks of its host that may use it too: the cores of the host
// divided by its ranks, or those that the launcher bound the rank to. Collective.
int threads_of(const Config& config, Communicator& world) {
  UsableCores mine;
  gethostname(mine.host.data(), mine.host.size() - 1);
  sched_getaffinity(0, sizeof mine.set, &mine.set);
  std::vector<UsableCores> all(static_cast<size_t>(world.size()));
  constexpr auto kBytes = static_cast<int64_t>(sizeof mine);
  const std::vector<int64_t> counts(all.size(), kBytes);
  wait_on_host(
      world.all_gather_v({all.data(), DType::u8, {kBytes * world.size()}}, {&mine, DType::u8, {kBytes}}, counts));
  if (config.run.threads > 0) return static_cast<int>(config.run.threads);
  double share = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine.set)) continue;
    share += 1.0 / static_cast<double>(std::count_if(all.begin(), all.end(), [&](const UsableCores& other) {
               return other.host == mine.host && CPU_ISSET(core, &other.set);
             }));
  }
  return std::max(1, static_cast<int>(share + 1e-9));
}

// The configuration that the checkpoint was written with.
Config config_of(const Found& found) {
  try {
    return parse_config(read_attachment(found.path, "config.yaml"), (found.path / "config.yaml").string()).config;
  } catch (const UserError& e) {
    throw DataError(concat(e.what(),
                           "\nA newer program wrote this checkpoint, or its config.yaml was edited. Resume with ",
                           "the program that wrote it, or name another checkpoint with --resume"));
  }
}

}  // namespace

Session::Session(WatchedWorld& watched, const LoadedConfig& loaded, const RunReports& reports)
    : config_(loaded.config), origins_(loaded.origins), reports_(reports), watched_(&watched) {
  const auto deadline = guard_startup();
  MeshDegrees degrees;
  degrees.dp = static_cast<int>(config_.parallel.dp);
  mesh_ = std::make_unique<Mesh>(world(), degrees);
  {
    const int threads = threads_of(config_, world());
    agree(world(), [&] { start_watched_team(threads); });
  }
  agree(world(), [&] { load_tokenizer(); });
  agree(world(), [&] { plan_memory(); });
  if (!memory_plan_.empty()) say(memory_plan_);
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
  config.model.vocab_size = vocab_rows();
  const MemoryPlan plan = birkhoff::plan_memory(config, replicas().size(), world().local_size());
  memory_plan_ = print(plan, memory_room());
}

void Session::within_memory(const std::function<void()>& body) const {
  try {
    body();
  } catch (const std::bad_alloc&) {
    throw UserError(concat("memory ran out\n", memory_plan_, kMemoryRemedies));
  }
}

void Session::build_model() {
  const ModelConfig& m = config_.model;
  const int64_t rows = vocab_rows();
  if (!m.engram.layers.empty()) {
    TokenizerCompression map = compress_tokenizer(*tokenizer_);
    if (!m.engram.compression) {
      map.compressed_size = tokenizer_->vocab_size();
      std::iota(map.map.begin(), map.map.end(), 0);
    }
    token_map_digest_ = map.sha256_int32();
    const int64_t pad = map.map[static_cast<size_t>(m.engram.pad_id)];
    engram_ = std::make_shared<EngramAddresses>(engram_hash_spec(config_, map.compressed_size, pad), map.map);
  }
  const EngramHash* hash = engram_ ? &engram_->hash() : nullptr;
  const Stream stream{device_of(config_)};
  model_ = std::make_unique<Model>(make_model(stream.device, replicas(), model_options(config_, rows, hash)));
  trainer_ = std::make_unique<Trainer>(stream, replicas(), *model_, trainer_options(config_, hash));
  Stream setup = stream;
  model_->initialize(setup, static_cast<uint64_t>(config_.run.seed));
}

std::filesystem::path Session::checkpoints() const { return config_.checkpoint.dir; }

void Session::say(const std::string& line) const {
  if (first() && reports_.say) reports_.say(line);
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
  o.bad_samples = config_.data.bad_samples == BadSamplePolicy::skip ? BadSamples::skip : BadSamples::fail;
  o.max_bad_samples = config_.data.max_bad_samples;
  o.mixture_change =
      config_.data.mixture_change == MixtureChangePolicy::restart ? MixtureChange::restart : MixtureChange::refuse;
  o.replica = replicas().rank();
  o.num_replicas = replicas().size();
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
  o.replica = replicas().rank();
  o.num_replicas = replicas().size();
  o.engram = engram_;
  return o;
}

// Primes and multipliers, so that a checkpoint tells what its rows mean, and a program that names them otherwise is
// found.
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

// Weights are of one numbering of tokens: another makes nonsense of them without any other sign.
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

std::optional<Found> Session::find() const {
  const std::string& resume = config_.checkpoint.resume;
  if (resume == "none") return std::nullopt;
  if (resume != "auto") return named_checkpoint(replicas(), "checkpoint.resume (--resume):", resume);
  return find_newest_valid(replicas(), checkpoints());
}

Progress Session::load(const Found& found) {
  for (const std::string& why : found.passed_over) say("passed over: " + why);
  agree(world(), [&] {
    if (!found.manifest.files.contains("config.yaml")) {
      throw DataError(concat(found.path.string(),
                             ": its manifest lists no config.yaml, without which no run can go on ",
                             "from it; name another checkpoint with --resume"));
    }
    const std::string changes = check_resume(config_of(found), config_);
    if (!changes.empty()) say(changes);
  });
  Progress progress;
  progress.loads_recent_skips = found.manifest.texts.contains("run.recent_skips");
  const Loaded loaded = load_checkpoint(replicas(), found.path, found.manifest, device_of(config_),
                                        [&](StateVisitor& v) { state(v, progress); });
  progress.loads_recent_skips = false;
  agree(world(), [&] {
    if (steps_done() != found.manifest.step) {
      throw DataError(concat(found.path.string(), ": its manifest is of step ", found.manifest.step,
                             ", but its trainer.steps is ", steps_done(), "; name another checkpoint with --resume"));
    }
    progress.check(steps_done());
  });
  progress.began_finite = loaded.nonfinite.empty();
  if (!progress.began_finite) {
    say(concat("warning: ", found.path.string(), " holds a state that is not finite: ", loaded.nonfinite,
               ". No state that follows from it will be saved, and its losses may mean nothing; go on from an older ",
               "checkpoint"));
  }
  if (loaded.rounded > 0) {
    say(concat(loaded.rounded, " tensors of the checkpoint are f64, which run.device ", name_of(config_.run.device),
               " holds in fewer bits: they were rounded"));
  }
  model_->parameters->values_changed();
  say(concat("resumed from ", found.path.string(), ", step ", found.manifest.step));
  return progress;
}

std::optional<EvaluationResult> Session::evaluate(EvalReader& reader, const std::function<bool()>& stop) {
  const auto deadline = guard_evaluation();
  reader.rewind();
  std::vector<double> sums(2, 0.0);
  while (true) {
    if (stop && stop()) return std::nullopt;
    const std::optional<StepBatch> batch = reader.next();
    if (!batch) break;
    const Trainer::Evaluation e = trainer_->evaluate(*batch);
    sums[0] += e.nats;
    sums[1] += e.tokens;
  }
  Stream host;
  replicas().all_reduce({sums.data(), DType::f64, {2}})->wait(host);
  EvaluationResult result;
  result.step = trainer_->steps_done();
  result.tokens = sums[1];
  result.loss = sums[1] > 0 ? sums[0] / sums[1] : 0;
  // Of a part of the split the bytes are not known; the split's bytes per token stand for them. Of the whole split the
  // bytes are exact, as the product comes first.
  const auto bytes = static_cast<double>(reader.source_bytes());
  const double targets = std::max(1.0, static_cast<double>(reader.num_targets())), bytes_per_token = bytes / targets;
  result.bytes = result.tokens * bytes / targets;
  result.bits_per_byte = result.loss / std::numbers::ln2 / std::max(bytes_per_token, 1e-9);
  return result;
}

}  // namespace birkhoff
