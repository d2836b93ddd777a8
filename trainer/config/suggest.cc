#include "trainer/config/suggest.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace birkhoff {
namespace {

// Levenshtein distance.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// Names of Megatron-LM first, then those of torchtitan, nanotron, DeepSpeed and the Hugging Face configs.
const std::map<std::string_view, std::string_view>& foreign_names() {
  static const std::map<std::string_view, std::string_view> names = {
      {"tensor_model_parallel_size", "parallel.tp"},
      {"pipeline_model_parallel_size", "parallel.pp"},
      {"context_parallel_size", "parallel.cp"},
      {"expert_model_parallel_size", "parallel.ep"},
      {"distributed_timeout_minutes", "parallel.timeout_step_s"},
      {"num_attention_heads", "model.attention.num_heads"},
      {"num_query_groups", "model.attention.num_kv_heads"},
      {"kv_channels", "model.attention.head_dim"},
      {"group_query_attention", "model.attention.type"},
      {"multi_latent_attention", "model.attention.type"},
      {"qk_head_dim", "model.attention.qk_nope_head_dim"},
      {"qk_pos_emb_head_dim", "model.attention.qk_rope_head_dim"},
      {"qk_layernorm", "model.attention.qk_norm"},
      {"add_qkv_bias", "model.attention.bias"},
      {"position_embedding_type", "model.position"},
      {"max_position_embeddings", "model.max_positions"},
      {"rotary_base", "model.rope.theta"},
      {"rotary_percent", "model.rope.dims"},
      {"rotary_interleaved", "model.rope.type"},
      {"rotary_scaling_factor", "model.rope.yarn.factor"},
      {"ffn_hidden_size", "model.ffn.size"},
      {"normalization", "model.norm"},
      {"norm_epsilon", "model.norm_eps"},
      {"layernorm_epsilon", "model.norm_eps"},
      {"init_method_std", "model.init_std"},
      {"untie_embeddings_and_output_weights", "model.tie_embeddings"},
      {"padded_vocab_size", "model.vocab_size"},
      {"moe_router_topk", "model.moe.top_k"},
      {"moe_ffn_hidden_size", "model.moe.expert_size"},
      {"moe_shared_expert_intermediate_size", "model.moe.num_shared"},
      {"moe_router_score_function", "model.moe.score_function"},
      {"moe_router_num_groups", "model.moe.num_groups"},
      {"moe_router_group_topk", "model.moe.top_groups"},
      {"moe_router_topk_scaling_factor", "model.moe.route_scale"},
      {"moe_router_bias_update_rate", "model.moe.bias_update_speed"},
      {"moe_aux_loss_coeff", "model.moe.sequence_balance_loss"},
      {"moe_layer_freq", "model.moe.first_dense_layers"},
      {"enable_mhc_connections", "model.residual.type"},
      {"mhc_num_residual_streams", "model.residual.streams"},
      {"mhc_sinkhorn_iterations", "model.residual.sinkhorn_iterations"},
      {"mhc_init_gating_factor", "model.residual.alpha_init"},
      {"mtp_num_layers", "model.mtp.depth"},
      {"mtp_loss_scaling_factor", "model.mtp.weight"},
      {"recompute_granularity", "model.recompute"},
      {"lr", "optimizer.learning_rate"},
      {"min_lr", "optimizer.min_learning_rate"},
      {"lr_decay_style", "optimizer.schedule"},
      {"lr_warmup_iters", "optimizer.warmup_steps"},
      {"lr_decay_iters", "optimizer.decay_steps"},
      {"clip_grad", "optimizer.clip_norm"},
      {"adam_beta1", "optimizer.beta1"},
      {"adam_beta2", "optimizer.beta2"},
      {"adam_eps", "optimizer.eps"},
      {"muon_momentum", "optimizer.muon.momentum"},
      {"rampup_batch_size", "batch.ramp.initial_size"},
      {"seq_length", "batch.sequence_length"},
      {"train_iters", "run.steps"},
      {"exit_duration_in_mins", "run.time_budget_s"},
      {"bf16", "precision.recipe"},
      {"fp8_recipe", "precision.recipe"},
      {"exp_avg_dtype", "precision.moments"},
      {"data_path", "data.sources"},
      {"tokenizer_model", "data.tokenizer"},
      {"save", "checkpoint.dir"},
      {"save_interval", "checkpoint.interval"},
      {"load", "checkpoint.resume"},
      {"async_save", "checkpoint.async"},
      {"eval_iters", "eval.sequences"},
      {"eval_interval", "eval.interval"},
      {"tensor_parallel_degree", "parallel.tp"},
      {"pipeline_parallel_degree", "parallel.pp"},
      {"context_parallel_degree", "parallel.cp"},
      {"expert_parallel_degree", "parallel.ep"},
      {"data_parallel_replicate_degree", "parallel.dp"},
      {"keep_latest_k", "checkpoint.keep"},
      {"train_steps", "run.steps"},
      {"checkpoint_interval", "checkpoint.interval"},
      {"train_batch_size", "batch.global_batch_size"},
      {"train_micro_batch_size_per_gpu", "batch.micro_batch_size"},
      {"gradient_accumulation_steps", "batch.global_batch_size"},
      {"num_hidden_layers", "model.num_layers"},
      {"num_key_value_heads", "model.attention.num_kv_heads"},
      {"intermediate_size", "model.ffn.size"},
      {"moe_intermediate_size", "model.moe.expert_size"},
      {"hidden_act", "model.ffn.activation"},
      {"swiglu_limit", "model.ffn.clamp"},
      {"rms_norm_eps", "model.norm_eps"},
      {"rope_theta", "model.rope.theta"},
      {"tie_word_embeddings", "model.tie_embeddings"},
      {"n_routed_experts", "model.moe.num_experts"},
      {"n_shared_experts", "model.moe.num_shared"},
      {"num_experts_per_tok", "model.moe.top_k"},
      {"first_k_dense_replace", "model.moe.first_dense_layers"},
      {"n_group", "model.moe.num_groups"},
      {"topk_group", "model.moe.top_groups"},
      {"scoring_func", "model.moe.score_function"},
      {"norm_topk_prob", "model.moe.renormalize"},
      {"routed_scaling_factor", "model.moe.route_scale"},
      {"hc_mult", "model.residual.streams"},
      {"hc_sinkhorn_iters", "model.residual.sinkhorn_iterations"},
      {"hc_eps", "model.residual.eps"},
      {"engram_layer_ids", "model.engram.layers"},
      {"engram_layers", "model.engram.layers"},
      {"engram_max_ngram_size", "model.engram.orders"},
      {"max_ngram", "model.engram.orders"},
      {"max_ngram_size", "model.engram.orders"},
      {"engram_n_heads", "model.engram.num_heads"},
      {"engram_vocab_size", "model.engram.rows_per_head"},
      {"engram_vocab_bases", "model.engram.rows_per_head"},
      {"engram_kernel_size", "model.engram.conv_kernel"},
      {"engram_pad_token_id", "model.engram.pad_id"},
      {"num_nextn_predict_layers", "model.mtp.depth"},
  };
  return names;
}

bool equal_but_case(std::string_view a, std::string_view b) {
  const auto equal = [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

}  // namespace

std::string nearest(std::string_view given, const std::vector<std::string_view>& names) {
  constexpr size_t kLongest = 200;  // no name is this long, and the cost of edits() is the product of the lengths
  if (given.size() > kLongest) return "";
  std::string_view best;
  size_t fewest = std::max<size_t>(2, given.size() / 3) + 1;
  for (const std::string_view name : names) {
    if (equal_but_case(given, name)) return std::string(name);
    const size_t distance = edits(given, name);
    // A distance of name.size() means that no letter of the name is kept.
    if (distance >= fewest || distance >= name.size()) continue;
    fewest = distance;
    best = name;
  }
  return std::string(best);
}

std::string setting_for_foreign_name(std::string_view name) {
  while (name.starts_with('-')) name.remove_prefix(1);
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  const auto found = foreign_names().find(key);
  return found == foreign_names().end() ? "" : std::string(found->second);
}

}  // namespace birkhoff
