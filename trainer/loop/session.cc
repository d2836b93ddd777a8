#include "trainer/loop/session.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

#include <sched.h>
#include <unistd.h>

#include "data/ingest/commands.h"
#include "data/tokenizer/compression.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/hash.h"
#include "parallel/comm/agree.h"

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

}  // namespace

Session::Session(Communicator& world, const LoadedConfig& loaded, const RunReports& reports)
    : config_(loaded.config), origins_(loaded.origins), reports_(reports) {
  require_same(world, "configuration", hex16(digest_config(config_)));
  check_world(config_, world.size());
  world_ = make_traced(world, trace_);
  MeshDegrees degrees;
  degrees.dp = static_cast<int>(config_.parallel.dp);
  mesh_ = std::make_unique<Mesh>(*world_, degrees);
  watchdog_ = std::make_unique<Watchdog>(
      [this](const std::string& why) { dump_and_abort(*world_, trace_, directory().string(), why); });
  const auto deadline = watchdog_->guard("start-up", config_.parallel.timeout_init_s);
  set_num_threads(threads_of(config_, *world_));
  agree(*world_, [&] {
    BK_CHECK(!config_.data.tokenizer.empty(), "data.tokenizer is not set; expected the tokenizer.json of the data");
    tokenizer_ = Tokenizer::load(config_.data.tokenizer);
  });
  agree(*world_, [&] { build_model(); });
}

void Session::build_model() {
  const ModelConfig& m = config_.model;
  const int64_t vocab = tokenizer_->vocab_size();
  BK_CHECK(m.vocab_size == 0 || m.vocab_size >= vocab, "model.vocab_size is ", m.vocab_size, ", but ",
           config_.data.tokenizer, " has ", vocab, " tokens; set model.vocab_size to 0 or at least ", vocab);
  const int64_t rows = m.vocab_size > 0 ? m.vocab_size : vocab;
  if (!m.engram.layers.empty()) {
    TokenizerCompression map = compress_tokenizer(*tokenizer_);
    if (!m.engram.compression) {
      map.compressed_size = tokenizer_->vocab_size();
      std::iota(map.map.begin(), map.map.end(), 0);
    }
    BK_CHECK(m.engram.pad_id < vocab, "model.engram.pad_id is ", m.engram.pad_id, ", but the tokenizer has ", vocab,
             " tokens");
    const int64_t pad = map.map[static_cast<size_t>(m.engram.pad_id)];
    engram_ = std::make_shared<EngramAddresses>(engram_hash_spec(config_, map.compressed_size, pad), map.map);
  }
  const EngramHash* hash = engram_ ? &engram_->hash() : nullptr;
  const Stream stream{device_of(config_)};
  model_ = std::make_unique<Model>(make_model(stream.device, replicas(), model_options(config_, rows, hash)));
  trainer_ = std::make_unique<Trainer>(stream, replicas(), *model_, trainer_options(config_, hash));
  Stream setup = stream;
  model_->initialise(setup, static_cast<uint64_t>(config_.run.seed));
}

std::filesystem::path Session::checkpoints() const { return config_.checkpoint.dir; }

void Session::say(const std::string& line) const {
  if (first() && reports_.say) reports_.say(line);
}

LoaderOptions Session::loader_options() const {
  LoaderOptions o;
  for (const SourceConfig& s : config_.data.sources) {
    const std::string name = s.name.empty() ? std::filesystem::path(s.path).filename().string() : s.name;
    o.sources.push_back({name, s.path, s.weight});
  }
  o.seed = static_cast<uint64_t>(config_.data.seed);
  o.vocab_size = model_->decoder->options().vocab_size;
  o.tokenizer_digest = tokenizer_digest(tokenizer_->to_json());
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
  o.tokenizer_digest = tokenizer_digest(tokenizer_->to_json());
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

void Session::state(StateVisitor& v, std::string& cursor) {
  trainer_->state(v);
  v.text("data.cursor", cursor);
  const std::string ours = table_description();
  std::string stored = ours;
  v.text("engram.tables", stored);
  if (stored != ours) {
    throw DataError(concat("the checkpoint's Engram tables are addressed as\n", stored,
                           "but this run addresses them as\n", ours, "Is the tokenizer another?"));
  }
}

std::map<std::string, std::string> Session::attachments() const {
  return {{"config.yaml", print_config(config_, origins_)}, {"tokenizer.json", tokenizer_->to_json()}};
}

std::optional<Found> Session::find() const {
  const std::string& resume = config_.checkpoint.resume;
  if (resume == "none") return std::nullopt;
  if (resume != "auto") return require_valid(replicas(), resume);
  return find_newest_valid(replicas(), checkpoints());
}

std::string Session::load(const Found& found) {
  for (const std::string& why : found.passed_over) say("passed over: " + why);
  agree(*world_, [&] {
    const std::string text = read_attachment(found.path, "config.yaml");
    const std::string changes = check_resume(parse_config(text, (found.path / "config.yaml").string()).config, config_);
    if (!changes.empty()) say(changes);
  });
  std::string cursor;
  load_checkpoint(replicas(), found.path, found.manifest, device_of(config_),
                  [&](StateVisitor& v) { state(v, cursor); });
  model_->parameters->values_changed();
  say(concat("resumed from ", found.path.string(), ", step ", found.manifest.step));
  return cursor;
}

EvaluationResult Session::evaluate(EvalReader& reader) {
  reader.rewind();
  std::vector<double> sums(2, 0.0);
  while (const std::optional<StepBatch> batch = reader.next()) {
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
  // Of a part of the split the bytes are not known; the split's bytes per token stand for them.
  const double bytes_per_token =
      static_cast<double>(reader.source_bytes()) / std::max(1.0, static_cast<double>(reader.num_targets()));
  result.bytes = result.tokens * bytes_per_token;
  result.bits_per_byte = result.loss / std::numbers::ln2 / std::max(bytes_per_token, 1e-9);
  return result;
}

}  // namespace birkhoff
