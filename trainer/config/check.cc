#include "trainer/config/check.h"

#include <algorithm>
#include <set>

#include "kernels/core/error.h"
#include "trainer/config/layout_rules.h"
#include "trainer/config/sizes.h"

namespace birkhoff {
namespace {

bool ascending(const std::vector<int64_t>& numbers) {
  return std::adjacent_find(numbers.begin(), numbers.end(), std::greater_equal<>()) == numbers.end();
}
// With at most this many sources the data cursor stays below 1 KiB (data/loader/cursor.h).
constexpr int64_t kMaxSources = 16;

class Checker {
 public:
  Checker(const Config& config, ConfigUse use) : c_(config), use_(use) {}

  std::vector<Conflict> run() {
    conflicts_ = conflicts_of_sizes(c_);
    attention();
    positions();
    ffn();
    moe();
    residual();
    engram();
    parallel();
    optimizer();
    schedule();
    batch();
    data();
    needed_data();
    return std::move(conflicts_);
  }

 private:
  void require(bool holds, std::vector<std::string> paths, const std::string& expected) {
    if (!holds) conflicts_.push_back({std::move(paths), expected});
  }

  void attention() {
    const AttentionOptions& a = c_.model.attention;
    if (a.type == AttentionType::mla) {
      require(c_.model.position == PositionType::rope, {"model.attention.type", "model.position"},
              "mla has its position in the rotated part; set model.position to rope");
      require(a.qk_nope_head_dim + a.qk_rope_head_dim > 0,
              {"model.attention.qk_nope_head_dim", "model.attention.qk_rope_head_dim"}, "keys need a width");
      require(!a.bias, {"model.attention.bias", "model.attention.type"}, "mla has no biases; set bias to false");
      return;
    }
    require(a.head_dim > 0, {"model.hidden_size", "model.attention.num_heads"},
            "hidden_size must be a multiple of num_heads, or head_dim be given");
    require(a.num_kv_heads > 0 && a.num_heads % a.num_kv_heads == 0,
            {"model.attention.num_heads", "model.attention.num_kv_heads"},
            "num_heads must be a multiple of num_kv_heads");
    if (a.type == AttentionType::mha) {
      require(a.num_heads == a.num_kv_heads,
              {"model.attention.type", "model.attention.num_heads", "model.attention.num_kv_heads"},
              "mha has as many key heads as query heads; set the type to gqa or leave num_kv_heads out");
    }
  }

  void positions() {
    const DecoderOptions& m = c_.model;
    if (m.position == PositionType::learned) {
      require(m.max_positions >= c_.batch.sequence_length, {"model.max_positions", "batch.sequence_length"},
              "every position of a sequence needs a learned vector; raise max_positions");
      return;
    }
    const bool mla = m.attention.type == AttentionType::mla;
    const std::string width = mla ? "model.attention.qk_rope_head_dim" : "model.attention.head_dim";
    const int64_t dims = mla ? m.attention.qk_rope_head_dim : m.attention.head_dim;
    require(m.rope.dims % 2 == 0, {"model.rope.dims", width}, "values are rotated in pairs; give an even number");
    require(mla ? m.rope.dims == dims : m.rope.dims <= dims, {"model.rope.dims", width},
            mla ? "mla rotates all of qk_rope_head_dim; leave rope.dims out" : "rope.dims exceeds the width of a head");
    const bool yarn = m.rope.yarn.factor != 1;
    require(!yarn || m.rope.yarn.beta_fast > m.rope.yarn.beta_slow,
            {"model.rope.yarn.beta_fast", "model.rope.yarn.beta_slow"}, "beta_fast must be above beta_slow");
    require(!yarn || m.rope.yarn.mscale_all_dim >= 0, {"model.rope.yarn.mscale_all_dim"},
            "a number of at least 0, or -1 for that of mscale");
  }

  void ffn() {
    const FfnOptions& f = c_.model.ffn;
    require(f.clamp == 0 || f.activation == Activation::swiglu, {"model.ffn.clamp", "model.ffn.activation"},
            "only swiglu has a clamp; set it to 0");
  }

  void moe() {
    const MoeOptions& e = c_.model.moe;
    if (e.num_experts == 0) return;
    require(e.first_dense_layers <= c_.model.num_layers, {"model.moe.first_dense_layers", "model.num_layers"},
            "no more dense layers than layers");
    if (!c_.model.has_experts()) return;
    require(c_.model.ffn.activation == Activation::swiglu, {"model.moe.num_experts", "model.ffn.activation"},
            "experts are swiglu; set the activation to swiglu");
    require(e.top_k <= e.num_experts, {"model.moe.top_k", "model.moe.num_experts"},
            "a token visits no more experts than there are");
    const bool divide = e.num_experts % e.num_groups == 0;
    require(divide, {"model.moe.num_experts", "model.moe.num_groups"}, "groups must be of equal size");
    require(e.top_groups <= e.num_groups, {"model.moe.top_groups", "model.moe.num_groups"},
            "no more groups are kept than there are");
    if (!divide || e.num_groups == 1) return;  // with one group, groups play no part
    const int64_t group = e.num_experts / e.num_groups;
    require(group >= 2, {"model.moe.num_experts", "model.moe.num_groups"},
            "a group scores by its two best experts: at least two each");
    // A top_k above num_experts has been reported already.
    require(e.top_k > e.num_experts || e.top_k <= e.top_groups * group,
            {"model.moe.top_k", "model.moe.top_groups", "model.moe.num_groups"},
            concat("the kept groups hold ", e.top_groups * group, " experts, fewer than top_k"));
  }

  void residual() {
    const ResidualType type = c_.model.residual.type;
    require(
        c_.model.recompute != Recompute::streams || type == ResidualType::mhc || type == ResidualType::mhc_single_pass,
        {"model.recompute", "model.residual.type"},
        "recompute: mhc needs residual type mhc or mhc_single_pass; set recompute to none or block");
    require(c_.model.recompute_layers == 0 || c_.model.recompute == Recompute::streams,
            {"model.recompute_layers", "model.recompute"}, "only recompute: mhc has groups; set recompute_layers to 0");
    require(c_.model.recompute_layers <= c_.model.num_layers, {"model.recompute_layers", "model.num_layers"},
            "a group has no more blocks than the model");
    require(c_.model.mtp.depth < c_.batch.sequence_length, {"model.mtp.depth", "batch.sequence_length"},
            "a sequence must reach beyond the tokens predicted ahead");
  }

  void engram() {
    const EngramOptions& e = c_.model.engram;
    if (e.layers.empty()) return;
    for (const int64_t layer : std::set(e.layers.begin(), e.layers.end())) {
      require(layer < c_.model.num_layers, {"model.engram.layers", "model.num_layers"},
              concat("block ", layer, " does not exist; blocks are counted from 0"));
    }
    require(ascending(e.layers), {"model.engram.layers"}, "blocks in ascending order, each once");
    require(!e.orders.empty() && ascending(e.orders), {"model.engram.orders"},
            "orders ascending, each once, at least one");
    const size_t given = e.rows_per_head.size();
    require(given == 1 || given == e.orders.size(), {"model.engram.rows_per_head", "model.engram.orders"},
            "one number for all orders, or one per order");
    int64_t rows = 0;
    for (size_t i = 0; given > 0 && i < e.orders.size(); ++i)
      rows += e.num_heads * e.rows_per_head[std::min(i, given - 1)];
    require(rows < (int64_t{1} << 31), {"model.engram.rows_per_head", "model.engram.num_heads", "model.engram.orders"},
            "a table holds fewer than 2^31 rows");
    require(c_.model.vocab_size == 0 || e.pad_id < c_.model.vocab_size, {"model.engram.pad_id", "model.vocab_size"},
            "pad_id must be a token");
  }

  void parallel() {
    if (use_ != ConfigUse::description) return;
    for (const LayoutProblem& p : problems_of_layout(c_, degrees_of(c_.parallel), std::nullopt))
      require(false, {concat("parallel.", name_of(p.axis))}, p.what);
  }

  void optimizer() {
    const OptimizerOptions& o = c_.optimizer;
    require(o.schedule.type == ScheduleType::constant || o.schedule.min_learning_rate <= o.schedule.learning_rate,
            {"optimizer.min_learning_rate", "optimizer.learning_rate"},
            "the rate decays: its end is no higher than its peak");
    // The reference device keeps moments in f64.
    if (c_.precision.moments != DType::bf16 || c_.run.device == DeviceKind::reference) return;
    // A bf16 has 8 significant bits. Multiplied by more than 1 - 2^-8, a moment may round back to its old value and
    // never decay.
    auto decays = [&](const std::string& name, double beta) {
      require(beta <= 1 - 0x1p-8, {"optimizer." + name, "precision.moments"},
              "a moment in bf16 decays by at most 1 - 2^-8 = 0.99609375; choose such a value, or moments in f32");
    };
    decays("beta1", o.adamw.beta1);
    decays("beta2", o.adamw.beta2);
    if (o.type == OptimizerType::muon) decays("muon.momentum", o.muon.momentum);
    if (!c_.model.engram.layers.empty() && o.engram.update == TableUpdate::balanced)
      decays("engram.beta", o.engram.beta);
  }

  void schedule() {
    const ScheduleOptions& o = c_.optimizer.schedule;
    const bool to_the_end = o.type != ScheduleType::constant && o.decay_steps == 0 && c_.run.steps > 0;
    require(!to_the_end || o.warmup_steps + o.constant_steps <= c_.run.steps,
            {"optimizer.warmup_steps", "optimizer.constant_steps", "run.steps"},
            "the run ends before the decay begins; give decay_steps, or shorten the warm-up and constant phases");
  }

  void batch() {
    const BatchConfig& b = c_.batch;
    require(b.global_batch_size % b.micro_batch_size == 0, {"batch.global_batch_size", "batch.micro_batch_size"},
            "a step is whole microbatches");
    if (b.ramp.initial_size > 0) ramp();
    int64_t step = 0;
    for (size_t i = 0; i < b.length_schedule.size(); ++i) {
      const std::string path = concat("batch.length_schedule[", i, "]");
      const LengthPhaseOptions& phase = b.length_schedule[i];
      require(phase.until_step > step, {path + ".until_step"}, "phases in ascending order of until_step");
      require(phase.sequence_length >= 1 && phase.sequence_length <= b.sequence_length,
              {path + ".sequence_length", "batch.sequence_length"},
              "a phase has a length of at least 1, and is at most as long as the full sequence");
      require(phase.sequence_length < 1 || phase.sequence_length > c_.model.mtp.depth,
              {path + ".sequence_length", "model.mtp.depth"},
              "a sequence must reach beyond the tokens predicted ahead");
      step = phase.until_step;
    }
  }

  void ramp() {
    const BatchConfig& b = c_.batch;
    require(b.ramp.initial_size <= b.global_batch_size, {"batch.ramp.initial_size", "batch.global_batch_size"},
            "the batch grows, so initial_size must not be above global_batch_size");
    require(b.ramp.increment > 0 && (b.global_batch_size - b.ramp.initial_size) % b.ramp.increment == 0,
            {"batch.ramp.increment", "batch.ramp.initial_size", "batch.global_batch_size"},
            "the increments must lead from the first size to the last");
    require(b.ramp.initial_size % b.micro_batch_size == 0 && b.ramp.increment % b.micro_batch_size == 0,
            {"batch.ramp.initial_size", "batch.ramp.increment", "batch.micro_batch_size"},
            "a step is whole microbatches");
    require(b.ramp.steps > 0, {"batch.ramp.steps"}, "a ramp takes at least one step");
  }

  void data() {
    require(static_cast<int64_t>(c_.data.sources.size()) <= kMaxSources, {"data.sources"},
            concat("at most ", kMaxSources, " sources; ingest several folders as one"));
    std::set<std::string> names;
    for (size_t i = 0; i < c_.data.sources.size(); ++i) {
      const SourceConfig& source = c_.data.sources[i];
      const std::string path = concat("data.sources[", i, "]");
      require(!source.path.empty(), {path + ".path"}, "a source needs a folder of shards");
      require(source.weight > 0, {path + ".weight"}, "a weight above 0; remove a source that is not wanted");
      require(source.name.empty() || names.insert(source.name).second, {path + ".name"},
              "another source has this name");
    }
  }

  void needed_data() {
    if (use_ == ConfigUse::description || use_ == ConfigUse::layout) return;
    require(use_ != ConfigUse::training || c_.eval.interval == 0 || !c_.eval.data.empty(),
            {"eval.interval", "eval.data"},
            "an evaluation needs a dataset with a held-out split; name it, or set the interval to 0");
    require(!c_.data.tokenizer.empty(), {"data.tokenizer"},
            "the tokenizer.json of the data is needed; birkhoff tokenizer train makes one");
    require(use_ != ConfigUse::training || !c_.data.sources.empty(), {"data.sources"},
            "at least one dataset of birkhoff data ingest is needed");
    require(use_ != ConfigUse::evaluation || !c_.eval.data.empty(), {"eval.data"},
            "a dataset with a held-out split is needed");
  }

  const Config& c_;
  ConfigUse use_;
  std::vector<Conflict> conflicts_;
};

}  // namespace

std::vector<Conflict> conflicts_of(const Config& config, ConfigUse use) { return Checker(config, use).run(); }

}  // namespace birkhoff
