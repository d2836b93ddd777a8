#include "trainer/step/build.h"

#include <algorithm>

namespace birkhoff {
namespace {

RopeOptions rope_options(const RopeConfig& c) {
  RopeOptions o;
  o.layout = c.type == RopeType::half ? RopeLayout::half : RopeLayout::interleaved;
  o.theta = c.theta;
  o.yarn = {c.yarn.factor,    c.yarn.original_length, c.yarn.beta_fast,
            c.yarn.beta_slow, c.yarn.mscale,          c.yarn.mscale_all_dim};
  return o;
}

AttentionOptions attention_options(const ModelConfig& m) {
  const AttentionConfig& c = m.attention;
  AttentionOptions o;
  o.kind = c.type == AttentionType::mla ? AttentionOptions::Kind::mla : AttentionOptions::Kind::gqa;
  o.num_heads = c.num_heads;
  o.num_kv_heads = c.num_kv_heads > 0 ? c.num_kv_heads : c.num_heads;
  o.head_dim = c.head_dim > 0 ? c.head_dim : m.hidden_size / c.num_heads;
  o.bias = c.bias;
  o.qk_norm = c.qk_norm;
  o.q_lora_rank = c.q_lora_rank;
  o.kv_lora_rank = c.kv_lora_rank;
  o.nope_dim = c.qk_nope_head_dim;
  o.rope_dim = c.qk_rope_head_dim;
  o.v_dim = c.v_head_dim;
  if (m.position == PositionType::rope) o.gqa_rope_dims = m.rope.dims > 0 ? m.rope.dims : o.head_dim;
  o.rope = rope_options(m.rope);
  return o;
}

RouterScore score_of(ScoreFunction f) {
  switch (f) {
    case ScoreFunction::sigmoid:
      return RouterScore::sigmoid;
    case ScoreFunction::sqrt_softplus:
      return RouterScore::sqrt_softplus;
    case ScoreFunction::softmax:
      return RouterScore::softmax;
  }
  throw BugError("unknown score function");
}

MoeOptions moe_options(const ModelConfig& m) {
  const MoeConfig& c = m.moe;
  MoeOptions o;
  o.num_experts = c.num_experts;
  o.top_k = c.top_k;
  o.expert_hidden = c.expert_size;
  o.num_shared = c.num_shared;
  o.score = score_of(c.score_function);
  o.num_groups = c.num_groups;
  o.top_groups = c.top_groups;
  o.route_scale = c.route_scale;
  o.renormalize = c.renormalize;
  // The bias exists in any run, so that its speed may change on a resume.
  o.balancing_bias = true;
  o.sequence_balance_loss = c.sequence_balance_loss;
  o.clamp = m.ffn.clamp;
  o.gate_position = c.gate_position == MoeGatePosition::inner ? GatePosition::inner : GatePosition::output;
  return o;
}

ResidualOptions residual_options(const ModelConfig& m) {
  static constexpr ResidualKind kKinds[] = {ResidualKind::plain, ResidualKind::hc, ResidualKind::mhc,
                                            ResidualKind::mhc_single_pass};
  const ResidualConfig& c = m.residual;
  ResidualOptions o;
  o.kind = kKinds[static_cast<size_t>(c.type)];
  o.streams = o.kind == ResidualKind::plain ? 1 : c.streams;
  o.sinkhorn_iterations = static_cast<int>(c.sinkhorn_iterations);
  o.eps = c.eps;
  o.norm_eps = m.norm_eps;
  o.post_factor = c.post_factor;
  o.alpha_init = c.alpha_init;
  o.fn_std = c.phi_std;
  o.diagonal_init = c.mix_diagonal_init;
  return o;
}

EngramOptions engram_options(const ModelConfig& m) {
  const EngramConfig& c = m.engram;
  EngramOptions o;
  o.columns = static_cast<int64_t>(c.orders.size()) * c.num_heads;
  o.head_dim = c.head_dim;
  o.bias = c.bias;
  o.gate = {c.gate.eps > 0 ? c.gate.eps : m.norm_eps, c.gate.clamp, c.gate.root};
  o.conv = c.conv;
  o.conv_kernel = static_cast<int>(c.conv_kernel);
  o.conv_dilation = static_cast<int>(c.conv_dilation > 0 ? c.conv_dilation : c.orders.back());
  o.conv_eps = c.conv_eps;
  return o;
}

DecoderOptions decoder_options(const ModelConfig& m, int64_t vocab_size) {
  static constexpr Recompute kRecompute[] = {Recompute::none, Recompute::block, Recompute::streams};
  DecoderOptions o;
  o.vocab_size = vocab_size;
  o.channels = m.hidden_size;
  o.num_layers = m.num_layers;
  o.tie_embeddings = m.tie_embeddings;
  o.learned_positions = m.position == PositionType::learned ? m.max_positions : 0;
  o.attention = attention_options(m);
  o.ffn.activation =
      m.ffn.activation == Activation::gelu ? FfnOptions::Activation::gelu : FfnOptions::Activation::swiglu;
  o.ffn.bias = m.ffn.bias;
  o.ffn.clamp = m.ffn.clamp;
  o.ffn_hidden = m.ffn.size;
  o.moe = moe_options(m);
  o.first_dense_layers = m.moe.first_dense_layers;
  o.residual = residual_options(m);
  o.engram_layers = m.engram.layers;
  o.engram = engram_options(m);
  o.mtp_depth = m.mtp.depth;
  o.recompute = kRecompute[static_cast<size_t>(m.recompute)];
  o.recompute_layers = m.recompute_layers;
  o.z_loss = m.z_loss;
  return o;
}

DenseOptions dense_options(const Config& c) {
  const OptimizerConfig& p = c.optimizer;
  DenseOptions o;
  o.kind = p.type == OptimizerType::muon ? DenseOptions::Kind::muon : DenseOptions::Kind::adamw;
  o.adamw.beta1 = p.beta1;
  o.adamw.beta2 = p.beta2;
  o.adamw.eps = p.eps;
  o.adamw.weight_decay = p.weight_decay;
  o.muon.momentum = p.muon.momentum;
  o.muon.weight_decay = p.weight_decay;
  o.muon.update_rms = p.muon.rms_scale;
  o.moments = c.precision.moments == MomentType::bf16 ? DType::bf16 : DType::f32;
  o.muon_compute = c.precision.recipe == PrecisionRecipe::f32 ? DType::f32 : DType::bf16;
  return o;
}

TableOptions table_options(const Config& c) {
  const EngramOptimizerConfig& p = c.optimizer.engram;
  TableOptions o;
  o.kind = p.update == TableUpdate::balanced ? TableOptions::Kind::balanced : TableOptions::Kind::sparse_adamw;
  o.learning_rate_multiplier = p.learning_rate_multiplier;
  o.balanced.momentum = p.beta;
  o.balanced.gamma = p.gamma;
  o.balanced.threshold = p.tau;
  o.balanced.eps = p.eps;
  o.balanced.iterations = static_cast<int>(p.iterations);
  o.adamw = dense_options(c).adamw;
  o.moments = dense_options(c).moments;
  return o;
}

}  // namespace

Device device_of(const Config& c) {
  static constexpr DeviceKind kKinds[] = {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::reference};
  return {kKinds[static_cast<size_t>(c.run.device)], 0};
}

EngramHashSpec engram_hash_spec(const Config& c, int64_t compressed_vocab, int64_t pad) {
  const EngramConfig& e = c.model.engram;
  EngramHashSpec spec;
  spec.layers = e.layers;
  spec.orders = e.orders;
  spec.bases = e.rows_per_head;
  if (spec.bases.size() == 1) spec.bases.resize(spec.orders.size(), spec.bases[0]);
  spec.num_heads = e.num_heads;
  spec.compressed_vocab = compressed_vocab;
  spec.pad = pad;
  spec.seed = e.seed;
  return spec;
}

ModelOptions model_options(const Config& c, int64_t vocab_size, const EngramHash* engram) {
  ModelOptions o;
  o.recipe = recipe_of(name_of(c.precision.recipe));
  o.fp8_scale = c.precision.fp8_scale == Fp8ScaleType::ue8m0 ? ScaleFormat::ue8m0 : ScaleFormat::f32;
  o.norm = c.model.norm == NormType::layernorm ? NormKind::layernorm : NormKind::rmsnorm;
  o.norm_eps = c.model.norm_eps;
  o.init.std = c.model.init_std;
  o.init.embedding_std = c.model.embedding_init_std > 0 ? c.model.embedding_init_std : c.model.init_std;
  o.init.output_scale = c.model.output_init_scale;
  o.decoder = decoder_options(c.model, vocab_size);
  o.table_init_std = c.model.engram.init_std;
  for (size_t i = 0; i < c.model.engram.layers.size(); ++i) {
    o.table_rows.push_back(engram->table(static_cast<int64_t>(i)).num_rows);
  }
  const DenseOptions::Kind kind = dense_options(c).kind;
  o.cost_of = [kind](const Parameter& p) { return update_cost(p, kind); };
  return o;
}

TrainerOptions trainer_options(const Config& c, const EngramHash* engram) {
  TrainerOptions o;
  o.clip_norm = c.optimizer.clip_norm;
  o.mtp_weight = c.model.mtp.weight;
  o.bias_update_speed = c.model.moe.bias_update_speed;
  o.dense = dense_options(c);
  o.table = table_options(c);
  for (size_t i = 0; i < c.model.engram.layers.size(); ++i) {
    const bool heads = c.optimizer.engram.granularity == TableGranularity::head;
    o.table_matrix_begins.push_back(heads ? engram->table(static_cast<int64_t>(i)).offsets : std::vector<int64_t>{0});
  }
  o.spike = {c.optimizer.spike.z_score, c.optimizer.spike.window, c.optimizer.spike.skip};
  return o;
}

LearningRate learning_rate_of(const Config& c) {
  static constexpr LearningRate::Decay kDecays[] = {LearningRate::Decay::constant, LearningRate::Decay::linear,
                                                    LearningRate::Decay::cosine};
  const OptimizerConfig& p = c.optimizer;
  LearningRate r;
  r.decay = kDecays[static_cast<size_t>(p.schedule)];
  r.peak = p.learning_rate;
  r.floor = p.min_learning_rate;
  r.warmup_steps = p.warmup_steps;
  r.constant_steps = p.constant_steps;
  const int64_t rest = c.run.steps - p.warmup_steps - p.constant_steps;
  r.decay_steps = p.decay_steps > 0 ? p.decay_steps : std::max<int64_t>(1, rest);
  return r;
}

StepShape step_shape(const Config& c, int64_t steps_done) {
  const BatchRampConfig& ramp = c.batch.ramp;
  LengthSchedule lengths;
  lengths.full = c.batch.sequence_length;
  for (const LengthPhaseConfig& p : c.batch.length_schedule)
    lengths.phases.push_back({p.until_step, p.sequence_length});
  return {BatchRamp{ramp.initial_size, c.batch.global_batch_size, ramp.increment, ramp.steps}.at(steps_done),
          c.batch.micro_batch_size, lengths.at(steps_done)};
}

void check_step_shapes(const Config& c, int num_replicas) {
  const int64_t share = c.batch.micro_batch_size * num_replicas;
  for (int64_t i = 0; i <= std::min(c.batch.ramp.steps, c.run.steps); ++i) {
    const int64_t sequences = step_shape(c, i).global_sequences;
    BK_CHECK(sequences % share == 0, "batch.ramp gives step ", i + 1, " a batch of ", sequences, " sequences, which ",
             num_replicas, " replicas with micro_batch_size ", c.batch.micro_batch_size,
             " do not divide; choose initial_size and increment as multiples of ", share);
  }
}

}  // namespace birkhoff
