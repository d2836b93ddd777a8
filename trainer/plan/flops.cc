#include "trainer/plan/flops.h"

#include <algorithm>

// C channels, L length of a sequence, H heads, S streams, E experts, k chosen, s shared, F width of an expert.
namespace birkhoff {
namespace {

double f64(int64_t value) { return static_cast<double>(value); }

// A term of the decoder's blocks. With recomputation their forward runs twice in training.
class Terms {
 public:
  Terms(const DecoderOptions& o, int64_t length) : o_(o), C_(f64(o.hidden_size)), L_(f64(length)) {}

  std::vector<FlopsTerm> all() {
    const double layers = f64(o_.num_layers), dense = layers - sparse_layers();
    block_term("attention projections", projections_formula(), layers * projections());
    block_term("attention scores and values", "2 H (qk + v) (L + 1)/2", layers * core(), 2.5);
    block_term("dense feed-forward", std::to_string(ffn_matrices()) + " matrices of 2 C I", dense * dense_ffn());
    block_term("experts", "6 C F (k + s)", sparse_layers() * experts());
    block_term("routers", "2 C E", sparse_layers() * router());
    block_term("hyper-connections", coefficients_formula(), layers * 2 * coefficients());
    block_term("Engram projections", "2 (S + 1) C (columns x width)", f64(engram_layers()) * engram());
    term("head", o_.residual.type == ResidualType::mhc ? "2 V C + 2 S^2 C" : "2 V C", head());
    mtp();
    return terms_;
  }

 private:
  void term(std::string name, std::string formula, double forward, double backward_factor = 2) {
    if (forward > 0) terms_.push_back({std::move(name), std::move(formula), forward, forward * (1 + backward_factor)});
  }
  void block_term(std::string name, std::string formula, double forward, double backward_factor = 2) {
    term(std::move(name), std::move(formula), forward, backward_factor + recomputed());
  }
  double recomputed() const { return o_.recompute == Recompute::block ? 1 : 0; }
  double sparse_layers() const {
    double count = 0;
    for (int64_t layer = 0; layer < o_.num_layers; ++layer) count += o_.moe.at(layer);
    return count;
  }
  int64_t engram_layers() const { return std::ssize(o_.engram.layers); }

  bool latent() const { return o_.attention.type == AttentionType::mla; }
  double qk_dim() const {
    return f64(latent() ? o_.attention.qk_nope_head_dim + o_.attention.qk_rope_head_dim : o_.attention.head_dim);
  }
  double v_dim() const { return f64(latent() ? o_.attention.v_head_dim : o_.attention.head_dim); }
  double heads() const { return f64(o_.attention.num_heads); }
  std::string projections_formula() const {
    if (!latent()) return "2 (2 C H d + 2 C Hkv d)";
    const std::string queries = o_.attention.q_lora_rank > 0 ? "C q + q H qk" : "C H qk";
    return "2 (" + queries + " + C (kv + rope) + kv H (nope + v) + H v C)";
  }
  double projections() const {
    const AttentionOptions& a = o_.attention;
    if (!latent()) return 2 * (2 * C_ * heads() * qk_dim() + 2 * C_ * f64(a.num_kv_heads) * qk_dim());
    const double q = f64(a.q_lora_rank), kv = f64(a.kv_lora_rank), out = heads() * qk_dim();
    const double queries = q > 0 ? C_ * q + q * out : C_ * out;
    return 2 * (queries + C_ * (kv + f64(a.qk_rope_head_dim)) + kv * heads() * (f64(a.qk_nope_head_dim) + v_dim()) +
                heads() * v_dim() * C_);
  }
  double core() const { return 2 * heads() * (qk_dim() + v_dim()) * (L_ + 1) / 2; }

  int ffn_matrices() const { return o_.ffn.activation == Activation::gelu ? 2 : 3; }
  double dense_ffn() const { return ffn_matrices() * 2 * C_ * f64(o_.ffn.size); }
  double experts() const { return 6 * C_ * f64(o_.moe.expert_size) * f64(o_.moe.top_k + o_.moe.num_shared); }
  double router() const { return 2 * C_ * f64(o_.moe.num_experts); }

  double streams() const { return f64(o_.residual.num_streams()); }
  std::string coefficients_formula() const {
    return o_.residual.type == ResidualType::hc ? "2 S C (S + 2) a sublayer" : "2 S C (S^2 + 2 S) a sublayer";
  }
  double coefficients() const {
    const double S = streams();
    if (o_.residual.type == ResidualType::plain) return 0;
    return 2 * S * C_ * (o_.residual.type == ResidualType::hc ? S + 2 : S * S + 2 * S);
  }
  double engram() const { return 2 * (streams() + 1) * C_ * f64(o_.engram.rows_per_token() * o_.engram.head_dim); }
  double collapse() const { return o_.residual.type == ResidualType::mhc ? 2 * streams() * streams() * C_ : 0; }
  double head() const { return 2 * f64(o_.vocab_size) * C_ + collapse(); }

  // Each depth of MTP costs one more layer, the two projections before it, and one more head, in training only. The
  // factor 3 is one forward and a backward that costs two forwards. For attention the factor is 3.5, and recomputation
  // adds 1 for the layer.
  void mtp() {
    const bool sparse = o_.moe.at(o_.num_layers);
    const double layer = projections() + (sparse ? experts() + router() : dense_ffn()) + 2 * coefficients();
    const double outside = 2 * C_ * C_ * (1 + streams()) + head(), depth = f64(o_.mtp.depth);
    const double training = (3 + recomputed()) * layer + (3.5 + recomputed()) * core() + 3 * outside;
    if (depth > 0) {
      terms_.push_back({"further-token prediction", "a layer + 2 (1 + S) C^2 + head", 0, depth * training});
    }
  }

  const DecoderOptions& o_;
  double C_, L_;
  std::vector<FlopsTerm> terms_;
};

}  // namespace

std::vector<FlopsTerm> flops_terms(const DecoderOptions& options, int64_t length) {
  return Terms(options, length).all();
}

}  // namespace birkhoff
