#include "trainer/nn/attention.h"

#include <cmath>
#include <utility>

#include "kernels/attention/attention.h"
#include "kernels/attention/mla_heads.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/split_columns.h"
#include "kernels/norm/rmsnorm.h"

namespace birkhoff {
namespace {

// What all types of attention share: softmax attention on given queries, keys and values, and rotation of heads in
// place.
class Core {
 public:
  Core(Build& build, const RopeOptions& rope, int64_t qk_dim, int64_t rope_offset, int64_t rope_dims)
      : rope_(rope),
        rope_offset_(rope_offset),
        rope_dims_(rope_dims),
        // YaRN scales the softmax only because it changes the rotation, so heads without a rotation are not scaled by
        // it.
        scale_((rope_dims > 0 ? rope_softmax_factor(rope.yarn) : 1) / std::sqrt(static_cast<double>(qk_dim))),
        memory_(std::make_unique<Arena>(build.device)),
        slot_(build.slot<Saved>()) {}

  Tensor forward(Frame& f, Tensor q, Tensor k, Tensor v) {
    Saved& s = f.saved(slot_);
    s = {q, k, v, f.take(v.dtype, {q.shape[0], q.shape[1], v.shape[2]}), f.take_statistic({q.shape[0], q.shape[1]})};
    attention_forward(
        f.stream, {.o = s.o, .lse = s.lse, .q = q, .k = k, .v = v, .mask = f.batch.attention_mask(), .scale = scale_});
    return s.o.view({q.shape[0], q.shape[1] * v.shape[2]});
  }

  struct Gradients {
    Tensor q, k, v;
  };
  Gradients backward(Frame& f, Tensor d_o) {
    const Saved& s = f.saved(slot_);
    const Gradients d{f.take_gradient(s.q.dtype, s.q.shape), f.take_gradient(s.k.dtype, s.k.shape),
                      f.take_gradient(s.v.dtype, s.v.shape)};
    attention_backward(f.stream, {.dq = d.q,
                                  .dk = d.k,
                                  .dv = d.v,
                                  .d_o = d_o.view(s.o.shape),
                                  .q = s.q,
                                  .k = s.k,
                                  .v = s.v,
                                  .o = s.o,
                                  .lse = s.lse,
                                  .mask = f.batch.attention_mask(),
                                  .scale = scale_});
    return d;
  }

  // x [T, heads, width]; rotates the dims from `offset` on. `positions` [T] are those of the tokens in x.
  void rotate(Frame& f, Tensor x, Tensor positions, int64_t offset, RopeDirection direction) {
    if (rope_dims_ == 0) return;
    if (!table_.present() || table_.shape[0] < f.batch.length) {
      memory_->reset();
      table_ = memory_->take(Precision::statistic(), {f.batch.length, rope_dims_ / 2, 2});
      fill_rope_table(f.stream, table_, rope_);
    }
    rope(f.stream, {.y = x,
                    .x = x,
                    .positions = positions,
                    .table = table_,
                    .offset = offset,
                    .layout = rope_.layout,
                    .direction = direction});
  }
  int64_t rope_offset() const { return rope_offset_; }

 private:
  struct Saved {
    Tensor q, k, v, o, lse;
  };
  RopeOptions rope_;
  int64_t rope_offset_, rope_dims_;
  double scale_;
  std::unique_ptr<Arena> memory_;  // of the table of angles
  Tensor table_;
  Slot<Saved> slot_;
};

// Unweighted RMS norm of every head.
class HeadNorm {
 public:
  HeadNorm(Build& build, bool on) : on_(on), eps_(build.norm.eps), slot_(build.slot<Saved>()) {}
  Tensor forward(Frame& f, Tensor x) {
    if (!on_) return x;
    Saved& s = f.saved(slot_);
    s = {x, f.take_statistic({x.shape.rows()})};
    const Tensor y = f.take(x.dtype, x.shape);
    rmsnorm_forward(f.stream, {y, s.rstd, x, {}, eps_});
    return y;
  }
  Tensor backward(Frame& f, Tensor dy) {
    if (!on_) return dy;
    const Saved& s = f.saved(slot_);
    const Tensor dx = f.take_gradient(dy.dtype, dy.shape);
    rmsnorm_backward(f.stream, {.dx = dx, .dgain = {}, .dy = dy, .x = s.x, .gain = {}, .rstd = s.rstd});
    return dx;
  }

 private:
  struct Saved {
    Tensor x, rstd;
  };
  bool on_;
  double eps_;
  Slot<Saved> slot_;
};

class GroupedQueryAttention final : public Module {
 public:
  GroupedQueryAttention(Build& build, const std::string& name, int64_t channels, const AttentionOptions& o,
                        const RotaryOptions& rope)
      : width_(o.head_dim),
        activation_(build.precision.activation()),
        exchange_(build),
        // The unit keeps the query heads that share a key head on one rank.
        q_(build, name + ".q", o.num_heads * width_, channels,
           Linear::Options{
               .bias = o.bias, .divided = Linear::Divided::outputs, .unit = o.num_heads / o.num_kv_heads * width_}),
        kv_(build, name + ".kv", 2 * o.num_kv_heads * width_, channels,
            Linear::Options{.bias = o.bias,
                            .divided = Linear::Divided::outputs,
                            .unit = width_,
                            .outputs = {0, 1, {o.num_kv_heads * width_, o.num_kv_heads * width_}}}),
        out_(build, name + ".out", channels, o.num_heads * width_,
             Linear::Options{.bias = o.bias,
                             .init_scale = build.init.output_scale,
                             .divided = Linear::Divided::inputs,
                             .unit = o.num_heads / o.num_kv_heads * width_}),
        heads_(q_.held_outputs() / width_),
        kv_heads_(kv_.held_outputs() / (2 * width_)),
        q_norm_(build, o.qk_norm),
        k_norm_(build, o.qk_norm),
        core_(build, rope, width_, width_ - rope.dims, rope.dims) {}

  Tensor forward(Frame& f, Tensor own_x) override {
    const DividedLayer divided(f);
    const Tensor x_TC = exchange_.gather(f, own_x), positions = f.batch.positions;
    const int64_t T = x_TC.shape[0];
    const Tensor kv = kv_.forward(f, x_TC);
    const Tensor k0 = f.take(activation_, {T, kv_heads_ * width_}), v = f.take(activation_, {T, kv_heads_ * width_});
    split_columns(f.stream, {k0, v, kv});
    const Tensor q = q_norm_.forward(f, q_.forward(f, x_TC).view({T, heads_, width_}));
    const Tensor k = k_norm_.forward(f, k0.view({T, kv_heads_, width_}));
    // q and k may be rotated in place: they are outputs of projections or norms, which do not read their outputs in
    // backward.
    core_.rotate(f, q, positions, core_.rope_offset(), RopeDirection::forward);
    core_.rotate(f, k, positions, core_.rope_offset(), RopeDirection::forward);
    return out_.forward(f, core_.forward(f, q, k, v.view({T, kv_heads_, width_})));
  }

  Tensor backward_input(Frame& f, Tensor dy_TC) override {
    const Core::Gradients d = core_.backward(f, out_.backward_input(f, dy_TC));
    const Tensor positions = f.batch.positions;
    const int64_t T = d.q.shape[0];
    // The backward of a rotation is the rotation in the opposite direction.
    core_.rotate(f, d.q, positions, core_.rope_offset(), RopeDirection::inverse);
    core_.rotate(f, d.k, positions, core_.rope_offset(), RopeDirection::inverse);
    const Tensor dq = q_norm_.backward(f, d.q), dk = k_norm_.backward(f, d.k);
    const Tensor dkv = f.take_gradient(activation_, {T, 2 * kv_heads_ * width_});
    concat_columns(f.stream, {dkv, dk.view({T, kv_heads_ * width_}), d.v.view({T, kv_heads_ * width_})});
    const Tensor dx = q_.backward_input(f, dq.view({T, heads_ * width_})), dx_kv = kv_.backward_input(f, dkv);
    add(f.stream, {dx, dx, dx_kv});
    return exchange_.sum_gradient(f, dx);
  }
  void backward_weight(Frame& f) override {
    for (Linear* l : {&out_, &kv_, &q_}) l->backward_weight(f);
  }
  void visit(ModuleVisitor& v) override {
    for (Linear* l : {&q_, &kv_, &out_}) l->visit(v);
  }

 private:
  int64_t width_;
  DType activation_;
  TokenExchange exchange_;
  Linear q_, kv_, out_;
  int64_t heads_, kv_heads_;  // that this rank computes
  HeadNorm q_norm_, k_norm_;
  Core core_;
};

// The queries of MLA. Each head consists of a part without position and a rotated part. With q_lora_rank > 0 the input
// is first projected down to a latent with its own norm. The latent of own tokens is narrow, so under tensor
// parallelism it is what the ranks gather, and the projection down is computed once for each token.
class Queries {
 public:
  Queries(Build& build, const std::string& name, int64_t channels, const AttentionOptions& o) : exchange_(build) {
    const int64_t out = o.num_heads * (o.qk_nope_head_dim + o.qk_rope_head_dim), rank = o.q_lora_rank;
    if (rank > 0) {
      down_ = std::make_unique<Linear>(build, name + ".q_a", rank, channels);
      norm_ = std::make_unique<Norm>(build, name + ".q_norm", rank);
    }
    up_ = std::make_unique<Linear>(
        build, name + (rank > 0 ? ".q_b" : ".q"), out, rank > 0 ? rank : channels,
        Linear::Options{.divided = Linear::Divided::outputs,
                        .outputs = {0, o.num_heads, {o.qk_nope_head_dim, o.qk_rope_head_dim}}});
  }
  // Own tokens [T / n, C] -> this rank's heads for the tokens of all ranks. What forward() gathers is started before,
  // so that the caller can gather something else at the same time.
  TokenExchange::Started start(Frame& f, Tensor x) {
    return exchange_.start_gather(f, down_ ? norm_->forward(f, down_->forward(f, x)) : x);
  }
  Tensor forward(Frame& f, TokenExchange::Started latent) { return up_->forward(f, latent.wait(f)); }
  // The gradient of the heads -> that of own tokens. The sum over the ranks is started first.
  TokenExchange::Started start_backward(Frame& f, Tensor dq) {
    return exchange_.start_sum_gradient(f, up_->backward_input(f, dq));
  }
  Tensor backward_input(Frame& f, TokenExchange::Started sum) {
    const Tensor d = sum.wait(f);
    return down_ ? down_->backward_input(f, norm_->backward_input(f, d)) : d;
  }
  void backward_weight(Frame& f) {
    up_->backward_weight(f);
    if (down_) down_->backward_weight(f);
  }
  void visit(ModuleVisitor& v) {
    if (down_) {
      down_->visit(v);
      norm_->visit(v);
    }
    up_->visit(v);
  }

 private:
  TokenExchange exchange_;
  std::unique_ptr<Linear> down_, up_;
  std::unique_ptr<Norm> norm_;
};

class LatentAttention final : public Module {
 public:
  LatentAttention(Build& build, const std::string& name, int64_t channels, const AttentionOptions& o,
                  const RopeOptions& rope)
      : o_(o),
        activation_(build.precision.activation()),
        exchange_(build),
        queries_(build, name, channels, o),
        kv_a_(build, name + ".kv_a", o.kv_lora_rank + o.qk_rope_head_dim, channels,
              Linear::Options{.outputs = {0, 1, {o.kv_lora_rank, o.qk_rope_head_dim}}}),
        kv_norm_(build, name + ".kv_norm", o.kv_lora_rank),
        kv_b_(build, name + ".kv_b", o.num_heads * (o.qk_nope_head_dim + o.v_head_dim), o.kv_lora_rank,
              Linear::Options{.divided = Linear::Divided::outputs,
                              .outputs = {0, o.num_heads, {o.qk_nope_head_dim, o.v_head_dim}}}),
        out_(build, name + ".out", channels, o.num_heads * o.v_head_dim,
             Linear::Options{
                 .init_scale = build.init.output_scale, .divided = Linear::Divided::inputs, .unit = o.v_head_dim}),
        q_norm_(build, o.qk_norm),
        core_(build, rope, o.qk_nope_head_dim + o.qk_rope_head_dim, o.qk_nope_head_dim, o.qk_rope_head_dim) {}

  Tensor forward(Frame& f, Tensor x_TC) override {
    const DividedLayer divided(f);
    const int64_t own = x_TC.shape[0], T = own * exchange_.size(), H = held_heads();
    const int64_t D = o_.qk_nope_head_dim + o_.qk_rope_head_dim;
    // The three gathers are under way together, since a rank waits for the slowest one in each wait.
    auto of_queries = queries_.start(f, x_TC);
    const Tensor latent = f.take(activation_, {own, o_.kv_lora_rank}),
                 own_k_rope = f.take(activation_, {own, o_.qk_rope_head_dim});
    split_columns(f.stream, {latent, own_k_rope, kv_a_.forward(f, x_TC)});
    core_.rotate(f, own_k_rope.view({own, 1, o_.qk_rope_head_dim}), f.batch.own_of(f.batch.positions), 0,
                 RopeDirection::forward);
    auto all_k_rope = exchange_.start_gather(f, own_k_rope);
    auto all_latents = exchange_.start_gather(f, kv_norm_.forward(f, latent));
    const Tensor q = q_norm_.forward(f, queries_.forward(f, std::move(of_queries)).view({T, H, D}));
    core_.rotate(f, q, f.batch.positions, o_.qk_nope_head_dim, RopeDirection::forward);
    const Tensor kv = kv_b_.forward(f, all_latents.wait(f)), k_rope = all_k_rope.wait(f);
    const Tensor k = f.take(activation_, {T, H, D}), v = f.take(activation_, {T, H, o_.v_head_dim});
    mla_heads_forward(f.stream, {k, v, kv.view({T, H, o_.qk_nope_head_dim + o_.v_head_dim}), k_rope});
    return out_.forward(f, core_.forward(f, q, k, v));
  }

  Tensor backward_input(Frame& f, Tensor dy_TC) override {
    const int64_t own = dy_TC.shape[0], T = own * exchange_.size(), H = held_heads();
    const Core::Gradients d = core_.backward(f, out_.backward_input(f, dy_TC));
    core_.rotate(f, d.q, f.batch.positions, o_.qk_nope_head_dim, RopeDirection::inverse);
    const Tensor dkv = f.take_gradient(activation_, {T, H, o_.qk_nope_head_dim + o_.v_head_dim});
    const Tensor dk_rope_of_heads = f.take_gradient(activation_, {T, o_.qk_rope_head_dim});
    mla_heads_backward(f.stream, {dkv, dk_rope_of_heads, d.k, d.v});
    // All heads share the rotated key, which bypasses kv_b. Like the latent, it needs the sum over the heads of all
    // ranks. The three sums are under way together, as the gathers of the forward are.
    auto sum_k_rope = BK_DEFECT("D4 rotated key's gradient of own heads")
                          ? TokenExchange::Started(f.batch.own_of(dk_rope_of_heads))
                          : exchange_.start_sum_gradient(f, dk_rope_of_heads);
    const Tensor dlatent_of_heads = kv_b_.backward_input(f, dkv.view({T, H * dkv.shape[2]}));
    auto sum_latent = BK_DEFECT("D3 latent gradient of own heads")
                          ? TokenExchange::Started(f.batch.own_of(dlatent_of_heads))
                          : exchange_.start_sum_gradient(f, dlatent_of_heads);
    const Tensor dq = q_norm_.backward(f, d.q);
    auto sum_queries = queries_.start_backward(f, dq.view({T, H * dq.shape[2]}));
    const Tensor dk_rope = sum_k_rope.wait(f);
    core_.rotate(f, dk_rope.view({own, 1, o_.qk_rope_head_dim}), f.batch.own_of(f.batch.positions), 0,
                 RopeDirection::inverse);
    const Tensor dnormed = sum_latent.wait(f);
    if (BK_DEFECT("D5 latent gradient summed twice") && exchange_.size() > 1)
      add(f.stream, {dnormed, dnormed, dnormed});
    const Tensor dlatent = kv_norm_.backward_input(f, dnormed);
    const Tensor dkv_a = f.take_gradient(activation_, {own, o_.kv_lora_rank + o_.qk_rope_head_dim});
    concat_columns(f.stream, {dkv_a, dlatent, dk_rope});
    const Tensor dx_kv = kv_a_.backward_input(f, dkv_a), dx = queries_.backward_input(f, std::move(sum_queries));
    add(f.stream, {dx, dx, dx_kv});
    return dx;
  }
  void backward_weight(Frame& f) override {
    for (Linear* l : {&out_, &kv_b_, &kv_a_}) l->backward_weight(f);
    queries_.backward_weight(f);
  }
  void visit(ModuleVisitor& v) override {
    queries_.visit(v);
    kv_a_.visit(v);
    kv_norm_.visit(v);
    kv_b_.visit(v);
    out_.visit(v);
  }

 private:
  int64_t held_heads() const { return kv_b_.held_outputs() / (o_.qk_nope_head_dim + o_.v_head_dim); }

  AttentionOptions o_;
  DType activation_;
  TokenExchange exchange_;
  Queries queries_;
  Linear kv_a_;
  Norm kv_norm_;
  Linear kv_b_, out_;
  HeadNorm q_norm_;
  Core core_;
};

}  // namespace

std::unique_ptr<Module> make_attention(Build& build, const std::string& name, int64_t channels,
                                       const AttentionOptions& o, const RotaryOptions* rope) {
  if (o.type == AttentionType::mla) {
    BK_ASSERT(rope, "latent attention needs rotary positions");
    return std::make_unique<LatentAttention>(build, name, channels, o, *rope);
  }
  BK_ASSERT(o.head_dim > 0 && o.num_kv_heads > 0, name, " has heads of ", o.head_dim, " for ", o.num_kv_heads, " keys");
  BK_ASSERT(!rope || rope->dims > 0, name, " has rotary positions of no dims");
  return std::make_unique<GroupedQueryAttention>(build, name, channels, o, rope ? *rope : RotaryOptions{});
}

}  // namespace birkhoff
