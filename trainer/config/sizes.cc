#include "trainer/config/sizes.h"

#include <algorithm>

namespace birkhoff {
namespace {

double number(auto value) { return static_cast<double>(value); }

// Estimates of a model's sizes, in doubles, which do not overflow.
class Sizes {
 public:
  explicit Sizes(const DecoderOptions& model)
      : m_(model), a_(model.attention), is_mla_(model.attention.type == AttentionType::mla) {}

  // All heads side by side: of the queries, or of keys and values together.
  double heads() const {
    const int64_t values = std::max(a_.v_head_dim, a_.qk_rope_head_dim);
    const double widest =
        is_mla_ ? number(std::max(a_.qk_nope_head_dim + values, a_.v_head_dim)) : 2 * number(a_.head_dim);
    return number(a_.num_heads) * widest;
  }
  double lookups_of_a_token() const { return number(m_.engram.layers.size()) * number(m_.engram.rows_per_token()); }
  double blocks() const { return number(m_.num_layers + m_.mtp.depth); }

  double parameters() const {
    const double hidden = number(m_.hidden_size), site = streams() * hidden * streams() * streams();
    const double block = std::max(hidden, latents()) * (3 * heads() + latents()) +
                         3 * hidden * inner_width(m_.moe.num_experts) + 2 * site;
    const auto& rows = m_.engram.rows_per_head;
    const double most_rows = rows.empty() ? 0 : number(*std::max_element(rows.begin(), rows.end()));
    const double table = (most_rows + streams() * hidden) * lookup_width();
    const double ends = hidden * (2 * number(m_.vocab_size) + number(m_.max_positions));
    return blocks() * block + number(m_.engram.layers.size()) * table + ends;
  }

  // Numbers that a block keeps of a token until its backward.
  double kept_of_a_token() const {
    return 3 * streams() * number(m_.hidden_size) + 3 * heads() + latents() + 3 * inner_width(m_.moe.top_k) +
           lookup_width();
  }

 private:
  double streams() const { return number(m_.residual.streams) + 1; }
  double latents() const { return is_mla_ ? number(a_.q_lora_rank + a_.kv_lora_rank + a_.qk_rope_head_dim) : 0; }
  double lookup_width() const { return number(m_.engram.rows_per_token()) * number(m_.engram.head_dim); }
  // Of a feed-forward layer with this many routed experts.
  double inner_width(int64_t experts) const {
    const MoeOptions& e = m_.moe;
    const double routed = e.num_experts > 0 ? number(experts + e.num_shared) * number(e.expert_size) : 0;
    return std::max(number(m_.ffn.size), routed);
  }

  const DecoderOptions& m_;
  const AttentionOptions& a_;
  bool is_mla_;
};

}  // namespace

std::vector<Conflict> conflicts_of_sizes(const Config& config) {
  std::vector<Conflict> conflicts;
  const auto require = [&](bool holds, std::vector<std::string> paths, const std::string& expected) {
    if (!holds) conflicts.push_back({std::move(paths), expected});
  };
  const Sizes sizes(config.model);
  const bool mla = config.model.attention.type == AttentionType::mla;
  require(sizes.heads() <= 0x1p31 - 1,  // the matrix libraries count rows and columns in 32 bits
          {"model.attention.num_heads", mla ? "model.attention.v_head_dim" : "model.attention.head_dim"},
          "all heads together are at most 2^31 - 1 wide (keys and values counted together)");
  const double tokens = number(config.batch.micro_batch_size) * number(config.batch.sequence_length);
  require(tokens <= 0x1p26, {"batch.micro_batch_size", "batch.sequence_length"},
          "a microbatch has at most 2^26 tokens");
  require(tokens * sizes.lookups_of_a_token() <= 0x1p28,
          {"batch.micro_batch_size", "batch.sequence_length", "model.engram.layers", "model.engram.num_heads",
           "model.engram.orders"},
          "the tokens of a microbatch look up at most 2^28 rows");
  require(sizes.parameters() <= 1e15,
          {"model.hidden_size", "model.num_layers", "model.vocab_size", "model.attention.num_heads", "model.ffn.size",
           "model.moe.num_experts", "model.moe.expert_size", "model.engram.layers", "model.engram.head_dim"},
          "the model would have more than 1e15 parameters, tables included; make it smaller");
  if (!conflicts.empty()) return conflicts;  // what is too large already makes the activations too large as well
  require(tokens * sizes.blocks() * sizes.kept_of_a_token() <= 1e15,
          {"batch.micro_batch_size", "batch.sequence_length", "model.hidden_size", "model.num_layers",
           "model.residual.streams", "model.attention.num_heads", "model.ffn.size", "model.moe.top_k",
           "model.moe.expert_size"},
          "a microbatch would have more than 1e15 activations; make it or the model smaller");
  return conflicts;
}

}  // namespace birkhoff
