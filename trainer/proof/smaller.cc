// Finds settings that shrink a config and keep its features and divisors.
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "kernels/core/error.h"
#include "trainer/proof/proof_memory.h"

namespace birkhoff {
namespace {

constexpr int64_t kLeastLayers = 4;
constexpr int64_t kKeptDivisor = 8;  // of heads, widths and experts

using Settings = std::map<std::string, std::string>;
// Settings that reduce one kind of size; empty where it is as small as it can be.
using Reduction = Settings (*)(const Config&);

// Half of a size that layouts divide, with the same powers of two up to 8 in it; nothing if that is below `least`.
std::optional<int64_t> half(int64_t value, int64_t least) {
  const int64_t smaller = value / 2;
  const bool divided = value % 2 == 0 && smaller % std::gcd(value, kKeptDivisor) == 0;
  return divided && smaller >= least ? std::optional(smaller) : std::nullopt;
}

// Half of a size that no layout divides. What is odd stays odd, since it shows parts of unequal size.
std::optional<int64_t> half_undivided(int64_t value, int64_t least) {
  const int64_t smaller = value % 2 == 1 ? (value / 2) | 1 : value / 4 * 2;
  return smaller < value && smaller >= least ? std::optional(smaller) : std::nullopt;
}

std::string list_of(const std::vector<int64_t>& numbers) {
  std::string text = "[";
  for (const int64_t number : numbers) text += concat(text.size() > 1 ? "," : "", number);
  return text + "]";
}

void halve(Settings& to, const std::string& path, int64_t value, int64_t least) {
  if (const auto smaller = half(value, least)) to[path] = std::to_string(*smaller);
}

// One microbatch; a proof raises it to what the layouts need.
Settings smaller_batch(const Config& c) {
  Settings s;
  if (c.batch.global_batch_size == c.batch.micro_batch_size) return s;
  s["batch.global_batch_size"] = std::to_string(c.batch.micro_batch_size);
  if (c.batch.ramp.initial_size > 0) s["batch.ramp.initial_size"] = std::string("0");
  return s;
}

// Few blocks: a dense one if there were dense and other ones, and one for each Engram table. The first block has a
// table if it had one.
Settings fewer_layers(const Config& c) {
  const DecoderOptions& m = c.model;
  const int64_t dense = m.moe.num_experts > 0 ? std::min<int64_t>(m.moe.first_dense_layers, 1) : 0;
  std::vector<int64_t> tables(m.engram.layers.size());
  std::iota(tables.begin(), tables.end(), tables.empty() ? 0 : std::min<int64_t>(m.engram.layers[0], 1));
  const int64_t least = std::max<int64_t>(kLeastLayers, tables.empty() ? 0 : tables.back() + 1);
  if (m.num_layers <= least || m.moe.first_dense_layers >= m.num_layers) return {};
  Settings s{{"model.num_layers", std::to_string(least)}};
  if (dense != m.moe.first_dense_layers) s["model.moe.first_dense_layers"] = std::to_string(dense);
  if (tables != m.engram.layers) s["model.engram.layers"] = list_of(tables);
  if (m.recompute_layers > least) s["model.recompute_layers"] = std::string("0");
  return s;
}

Settings fewer_rows(const Config& c) {
  if (c.model.engram.layers.empty()) return {};
  std::vector<int64_t> rows = c.model.engram.rows_per_head;
  for (int64_t& count : rows) count = count / 2 >= 64 ? count / 2 : count;
  if (rows == c.model.engram.rows_per_head) return {};
  return {{"model.engram.rows_per_head", list_of(rows)}};
}

Settings fewer_experts(const Config& c) {
  Settings s;
  if (c.model.has_experts()) halve(s, "model.moe.num_experts", c.model.moe.num_experts, kKeptDivisor);
  return s;
}

Settings smaller_widths(const Config& c) {
  const DecoderOptions& m = c.model;
  Settings s;
  halve(s, "model.hidden_size", m.hidden_size, 32);
  if (!m.moe.at(0)) halve(s, "model.ffn.size", m.ffn.size, 32);
  if (m.has_experts()) halve(s, "model.moe.expert_size", m.moe.expert_size, 32);
  if (!m.engram.layers.empty()) halve(s, "model.engram.head_dim", m.engram.head_dim, 8);
  if (m.attention.type != AttentionType::mla) return s;
  if (m.attention.q_lora_rank > 0) halve(s, "model.attention.q_lora_rank", m.attention.q_lora_rank, 16);
  halve(s, "model.attention.kv_lora_rank", m.attention.kv_lora_rank, 16);
  halve(s, "model.attention.qk_nope_head_dim", m.attention.qk_nope_head_dim, 8);
  halve(s, "model.attention.qk_rope_head_dim", m.attention.qk_rope_head_dim, 8);
  halve(s, "model.attention.v_head_dim", m.attention.v_head_dim, 8);
  return s;
}

Settings fewer_heads(const Config& c) {
  const AttentionOptions& a = c.model.attention;
  Settings s;
  halve(s, "model.attention.num_heads", a.num_heads, 2);
  if (s.empty() || a.type == AttentionType::mla) return s;
  // The ratio of query heads to key heads stays.
  const auto keys = half(a.num_kv_heads, 1);
  if (!keys) return {};
  s["model.attention.num_kv_heads"] = std::to_string(*keys);
  return s;
}

Settings smaller_vocabulary(const Config& c) {
  const auto smaller = half_undivided(c.model.vocab_size, 64);
  if (!smaller) return {};
  return {{"model.vocab_size", std::to_string(*smaller)}};
}

Settings shorter_sequences(const Config& c) {
  const auto smaller = half_undivided(c.batch.sequence_length, 16);
  if (!smaller || !c.batch.length_schedule.empty()) return {};
  return {{"batch.sequence_length", std::to_string(*smaller)}};
}

Settings smaller_microbatch(const Config& c) {
  Settings s;
  if (c.batch.micro_batch_size == 1) return s;
  s["batch.micro_batch_size"] = s["batch.global_batch_size"] = std::string("1");
  return s;
}

constexpr Reduction kFirst[] = {smaller_batch, smaller_microbatch, fewer_layers};
// Each of these halves a size, in turns, so that the parts of a model keep their proportions.
constexpr Reduction kInTurns[] = {fewer_rows,  fewer_experts,      smaller_widths,
                                  fewer_heads, smaller_vocabulary, shorter_sequences};

std::vector<std::string> written(const Settings& settings) {
  std::vector<std::string> lines;
  for (const auto& [path, value] : settings) lines.push_back(path + "=" + value);
  return lines;
}

class Shrinking {
 public:
  explicit Shrinking(const std::function<Config(const std::vector<std::string>&)>& load)
      : load_(load), config_(load({})) {}

  // Whether it made the config smaller. It does nothing where the config would contradict itself.
  bool apply(Reduction reduction) {
    const Settings further = reduction(config_);
    if (further.empty()) return false;
    Settings all = further;
    all.insert(settings_.begin(), settings_.end());
    try {
      const Config smaller = load_(written(all));
      if (smaller == config_) return false;
      config_ = smaller;
    } catch (const UserError&) {
      return false;
    }
    settings_ = std::move(all);
    return true;
  }
  const Config& config() const { return config_; }
  std::vector<std::string> settings() const { return written(settings_); }

 private:
  const std::function<Config(const std::vector<std::string>&)>& load_;
  Config config_;
  Settings settings_;
};

}  // namespace

std::vector<std::string> smaller_settings(const std::function<Config(const std::vector<std::string>& settings)>& load,
                                          const std::function<bool(const Config&)>& fits) {
  Shrinking shrinking(load);
  for (const Reduction reduction : kFirst) {
    if (shrinking.apply(reduction) && fits(shrinking.config())) return shrinking.settings();
  }
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (const Reduction reduction : kInTurns) {
      if (!shrinking.apply(reduction)) continue;
      smaller = true;
      if (fits(shrinking.config())) return shrinking.settings();
    }
  }
  return {};
}

}  // namespace birkhoff
