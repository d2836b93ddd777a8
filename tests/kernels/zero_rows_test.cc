// Runs every op on tensors without rows: a microbatch without tokens, an expert or a rank without rows. Nothing may be
// written, and accumulators must keep their values. A tensor of zero rows is an ordinary tensor, not an absent one.
#include <filesystem>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include <gmock/gmock.h>

#include "kernels/activation/gelu.h"
#include "kernels/activation/swiglu.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/mla_heads.h"
#include "kernels/core/arena.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/bias.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "kernels/elementwise/split_columns.h"
#include "kernels/embedding/embedding.h"
#include "kernels/engram/conv.h"
#include "kernels/engram/fp8_rows.h"
#include "kernels/engram/gate.h"
#include "kernels/engram/rows.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/grouped_gemm.h"
#include "kernels/gemm/precision.h"
#include "kernels/hyper/coefficients.h"
#include "kernels/hyper/gain.h"
#include "kernels/hyper/hc_coefficients.h"
#include "kernels/hyper/read.h"
#include "kernels/hyper/sinkhorn.h"
#include "kernels/hyper/streams.h"
#include "kernels/hyper/write_mix.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/loss/cross_entropy_part.h"
#include "kernels/loss/head_loss.h"
#include "kernels/moe/balance_loss.h"
#include "kernels/moe/bias_update.h"
#include "kernels/moe/destinations.h"
#include "kernels/moe/expert_order.h"
#include "kernels/moe/permute.h"
#include "kernels/moe/router.h"
#include "kernels/norm/layernorm.h"
#include "kernels/norm/rmsnorm.h"
#include "kernels/optim/adamw.h"
#include "kernels/optim/muon.h"
#include "kernels/optim/sinkhorn_balanced.h"
#include "kernels/reduce/exact_squares.h"
#include "kernels/reduce/reduce.h"
#include "kernels/rope/rope.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

constexpr double kBefore = 7;  // the value of all elements before an op runs

class OpNames final : public OpObserver {
 public:
  void begin(std::string_view op) override { seen.emplace(op); }
  void end() override {}
  void flops(double) override {}
  std::set<std::string> seen;
};

// The tensors of an op without rows. There are no tokens, so tensors over T tokens are empty; parameters have elements.
class Tensors {
 public:
  explicit Tensors(DeviceKind kind) : stream{Device{kind}}, arena(Device{kind}) { stream.observer = &names; }

  // An empty tensor of activations, statistics, indices or offsets: its shape holds a 0.
  Tensor none(Shape shape, DType dtype = DType::f32) { return arena.take(dtype, shape); }
  Tensor index(Shape shape) { return none(shape, DType::i32); }
  // Ranges of keys of no queries.
  AttentionMask no_ranges() {
    return {.kind = AttentionMask::Kind::key_ranges, .key_begin = index({0}), .key_end = index({0})};
  }
  // A parameter, or the accumulator of its gradient.
  Tensor some(Shape shape) {
    const Tensor t = arena.take(DType::f32, shape);
    fill(stream, t, kBefore);
    kept.push_back(t);
    return t;
  }
  Tensor offsets(int64_t groups) {
    const Tensor t = arena.take(DType::i64, {groups + 1});
    fill_zero(stream, t);
    return t;
  }

  OpNames names;
  Stream stream;
  Arena arena;
  std::vector<Tensor> kept;
};

using Case = std::function<void(Tensors&)>;

// For each op, a function that runs it. C = 8 channels, S = 4 streams, H = 2 heads, E = 3 experts, K = 2 chosen, V = 5
// rows.
std::map<std::string, Case> cases() {
  std::map<std::string, Case> c;
  c["gelu"] = [](Tensors& t) { gelu_forward(t.stream, {t.none({0, 8}), t.none({0, 8})}); };
  c["gelu_backward"] = [](Tensors& t) { gelu_backward(t.stream, {t.none({0, 8}), t.none({0, 8}), t.none({0, 8})}); };
  c["swiglu"] = [](Tensors& t) { swiglu_forward(t.stream, {t.none({0, 8}), t.none({0, 16}), t.none({0}), 1}); };
  c["swiglu_backward"] = [](Tensors& t) {
    swiglu_backward(t.stream, {.dx = t.none({0, 16}),
                               .drow_scale = t.none({0}),
                               .dy = t.none({0, 8}),
                               .x = t.none({0, 16}),
                               .row_scale = t.none({0}),
                               .clamp = 1});
  };
  c["attention"] = [](Tensors& t) {
    attention_forward(t.stream, {.o = t.none({0, 2, 8}),
                                 .lse = t.none({0, 2}),
                                 .q = t.none({0, 2, 8}),
                                 .k = t.none({0, 2, 8}),
                                 .v = t.none({0, 2, 8}),
                                 .mask = {.key_begin = t.index({0}), .max_length = 4}});
    // No queries, but keys.
    attention_forward(t.stream, {.o = t.none({0, 2, 8}),
                                 .lse = t.none({0, 2}),
                                 .q = t.none({0, 2, 8}),
                                 .k = t.some({3, 2, 8}),
                                 .v = t.some({3, 2, 8}),
                                 .mask = t.no_ranges()});
  };
  c["attention_backward"] = [](Tensors& t) {
    const auto heads = [&] { return t.none({0, 2, 8}); };
    attention_backward(t.stream, {.dq = heads(),
                                  .dk = heads(),
                                  .dv = heads(),
                                  .d_o = heads(),
                                  .q = heads(),
                                  .k = heads(),
                                  .v = heads(),
                                  .o = heads(),
                                  .lse = t.none({0, 2}),
                                  .mask = {.key_begin = t.index({0}), .max_length = 4}});
    // No queries, but keys, whose gradients become 0.
    const Tensor dk = t.none({3, 2, 8}), dv = t.none({3, 2, 8});
    for (const Tensor& d : {dk, dv}) fill(t.stream, d, kBefore);
    attention_backward(t.stream, {.dq = heads(),
                                  .dk = dk,
                                  .dv = dv,
                                  .d_o = heads(),
                                  .q = heads(),
                                  .k = t.some({3, 2, 8}),
                                  .v = t.some({3, 2, 8}),
                                  .o = heads(),
                                  .lse = t.none({0, 2}),
                                  .mask = t.no_ranges()});
    if (t.stream.device.kind == DeviceKind::meta) return;
    for (const Tensor& d : {dk, dv}) EXPECT_THAT(read_values(t.stream, d), testing::Each(0));
  };
  c["mla_heads"] = [](Tensors& t) {
    mla_heads_forward(t.stream, {t.none({0, 2, 6}), t.none({0, 2, 4}), t.none({0, 2, 8}), t.none({0, 2})});
  };
  c["mla_heads_backward"] = [](Tensors& t) {
    mla_heads_backward(t.stream, {t.none({0, 2, 8}), t.none({0, 2}), t.none({0, 2, 6}), t.none({0, 2, 4})});
  };
  c["add"] = [](Tensors& t) { add(t.stream, {t.none({0, 8}), t.none({0, 8}), t.none({0, 8})}); };
  c["scale"] = [](Tensors& t) { scale(t.stream, {t.none({0, 8}), t.none({0, 8}), t.some({1}), 2}); };
  c["bias"] = [](Tensors& t) {
    add_bias(t.stream, {t.none({0, 8}), t.some({8})});
    bias_gradient(t.stream, {t.some({8}), t.none({0, 8})});
  };
  c["copy"] = [](Tensors& t) { copy(t.stream, t.none({0, 8}), t.none({0, 8}, DType::bf16)); };
  c["fill_zero"] = [](Tensors& t) { fill_zero(t.stream, t.none({0, 8})); };
  c["fill"] = [](Tensors& t) {
    fill(t.stream, t.none({0, 8}), 3);
    fill_normal(t.stream, {t.none({0, 8}), 1, 2, 0, 1});
  };
  c["split_columns"] = [](Tensors& t) { split_columns(t.stream, {t.none({0, 3}), t.none({0, 5}), t.none({0, 8})}); };
  c["concat_columns"] = [](Tensors& t) { concat_columns(t.stream, {t.none({0, 8}), t.none({0, 3}), t.none({0, 5})}); };
  c["embedding"] = [](Tensors& t) { embedding_forward(t.stream, {t.none({0, 8}), t.some({5, 8}), t.index({0})}); };
  c["embedding_backward"] = [](Tensors& t) {
    embedding_backward(t.stream, {t.some({5, 8}), t.none({0, 8}), t.index({0})});
  };
  c["engram_conv"] = [](Tensors& t) {
    engram_conv_forward(t.stream, {.out = t.none({0, 4, 8}),
                                   .rstd = t.none({0, 4}),
                                   .x = t.none({0, 4, 8}),
                                   .gain = t.some({4, 8}),
                                   .weight = t.some({4, 8, 3}),
                                   .document_start = t.index({0}),
                                   .dilation = 2});
  };
  c["engram_conv_backward"] = [](Tensors& t) {
    engram_conv_backward(t.stream, {.dx = t.none({0, 4, 8}),
                                    .dgain = t.some({4, 8}),
                                    .dweight = t.some({4, 8, 3}),
                                    .dout = t.none({0, 4, 8}),
                                    .x = t.none({0, 4, 8}),
                                    .gain = t.some({4, 8}),
                                    .weight = t.some({4, 8, 3}),
                                    .rstd = t.none({0, 4}),
                                    .document_start = t.index({0}),
                                    .dilation = 2});
    // No tokens, but a halo of two rows, which nothing sees. Its gradient becomes 0.
    const Tensor dx = t.none({2, 4, 8}), start = t.index({2});
    fill(t.stream, dx, kBefore);
    fill_zero(t.stream, start);
    engram_conv_backward(t.stream, {.dx = dx,
                                    .dgain = t.some({4, 8}),
                                    .dweight = t.some({4, 8, 3}),
                                    .dout = t.none({0, 4, 8}),
                                    .x = t.some({2, 4, 8}),
                                    .gain = t.some({4, 8}),
                                    .weight = t.some({4, 8, 3}),
                                    .rstd = t.some({2, 4}),
                                    .document_start = start,
                                    .dilation = 2,
                                    .halo = 2});
    if (t.stream.device.kind == DeviceKind::meta) return;
    EXPECT_THAT(read_values(t.stream, dx), testing::Each(0));
  };
  c["fp8_rows"] = [](Tensors& t) {
    fp8_rows_decode(t.stream, {t.none({0, 64}), t.none({0, 64}, DType::u8), t.none({0, 2}, DType::u8)});
  };
  c["engram_gate"] = [](Tensors& t) {
    engram_gate_forward(t.stream, {.out = t.none({0, 4, 8}),
                                   .gate = t.none({0, 4}),
                                   .score = t.none({0, 4}),
                                   .rstd_h = t.none({0, 4}),
                                   .rstd_k = t.none({0, 4}),
                                   .value = t.none({0, 4, 8}),
                                   .h = t.none({0, 4, 8}),
                                   .kv = t.none({0, 40}),
                                   .w_h = t.some({4, 8}),
                                   .w_k = t.some({4, 8}),
                                   .mask = t.none({0}, DType::u8)});
  };
  c["engram_gate_backward"] = [](Tensors& t) {
    engram_gate_backward(t.stream, {.dh = t.none({0, 4, 8}),
                                    .dkv = t.none({0, 40}),
                                    .dw_h = t.some({4, 8}),
                                    .dw_k = t.some({4, 8}),
                                    .dout = t.none({0, 4, 8}),
                                    .dvalue = t.none({0, 4, 8}),
                                    .h = t.none({0, 4, 8}),
                                    .kv = t.none({0, 40}),
                                    .w_h = t.some({4, 8}),
                                    .w_k = t.some({4, 8}),
                                    .gate = t.none({0, 4}),
                                    .score = t.none({0, 4}),
                                    .rstd_h = t.none({0, 4}),
                                    .rstd_k = t.none({0, 4})});
  };
  c["engram_gather"] = [](Tensors& t) {
    engram_gather_forward(t.stream, {t.none({0, 16}), t.some({5, 8}), t.index({0, 2})});
    engram_gather_forward(t.stream, {t.none({0, 8}), t.none({0, 8}), t.index({0, 1})});
  };
  c["engram_gather_backward"] = [](Tensors& t) {
    engram_gather_backward(t.stream, {t.some({5, 8}), t.none({0, 16}), t.index({0, 2})});
    engram_gather_backward(t.stream, {t.none({0, 8}), t.none({0, 8}), t.index({0, 1})});
  };
  c["gemm"] = [](Tensors& t) {
    gemm(t.stream, {t.none({0, 5}), t.none({0, 8}), t.some({5, 8}), false, true});
    gemm(t.stream,
         {.c = t.some({5, 8}), .a = t.none({0, 5}), .b = t.none({0, 8}), .transpose_a = true, .accumulate = true});
    for (const Recipe recipe : {Recipe::f32, Recipe::bf16, Recipe::fp8_block}) {
      const Precision precision(recipe);
      const auto linear = precision.linear(5, 8);
      const Weight w{t.some({5, 8}), 1, {}};
      const DType type = precision.activation();
      linear->forward(t.stream, t.none({0, 5}, type), t.none({0, 8}, type), w);
      linear->backward_input(t.stream, t.none({0, 8}, type), t.none({0, 5}, type), w);
      linear->backward_weight(t.stream, t.some({5, 8}), t.none({0, 5}, type), t.none({0, 8}, type));
    }
  };
  c["pack_weight"] = [](Tensors& t) {
    const auto linear = Precision(Recipe::bf16).linear(5, 8);
    linear->forward(t.stream, t.none({0, 5}, DType::bf16), t.none({0, 8}, DType::bf16), {t.some({5, 8}), 1, {}});
  };
  c["grouped_gemm"] = [](Tensors& t) {
    grouped_gemm(t.stream, {t.none({0, 5}), t.none({0, 8}), t.some({3, 5, 8}), t.offsets(3)});
    for (const Recipe recipe : {Recipe::f32, Recipe::bf16, Recipe::fp8_block}) {
      const Precision precision(recipe);
      const auto grouped = precision.grouped(3, 5, 8);
      const Weight w{t.some({3, 5, 8}), 1, {}};
      const DType type = precision.activation();
      grouped->forward(t.stream, t.none({0, 5}, type), t.none({0, 8}, type), w, t.offsets(3));
      grouped->backward_input(t.stream, t.none({0, 8}, type), t.none({0, 5}, type), w, t.offsets(3));
      grouped->backward_weight(t.stream, t.some({3, 5, 8}), t.none({0, 5}, type), t.none({0, 8}, type), t.offsets(3));
    }
  };
  c["grouped_gemm_backward_input"] = [](Tensors& t) {
    grouped_gemm_backward_input(t.stream, {t.none({0, 8}), t.none({0, 5}), t.some({3, 5, 8}), t.offsets(3)});
  };
  c["grouped_gemm_backward_weight"] = [](Tensors& t) {
    grouped_gemm_backward_weight(t.stream, {t.some({3, 5, 8}), t.none({0, 5}), t.none({0, 8}), t.offsets(3)});
  };
  c["hyper_coefficients"] = [](Tensors& t) {
    hyper_coefficients_forward(t.stream, {.mixes = t.none({0, 24}),
                                          .rstd = t.none({0}),
                                          .pre = t.none({0, 4}),
                                          .post = t.none({0, 4}),
                                          .comb = t.none({0, 4, 4}),
                                          .h = t.none({0, 8}),
                                          .x = t.none({0, 4, 8}),
                                          .fn = t.some({24, 32}),
                                          .base = t.some({24}),
                                          .scale = t.some({3})});
  };
  c["hyper_coefficients_backward"] = [](Tensors& t) {
    hyper_coefficients_backward(t.stream, {.dx = t.none({0, 4, 8}),
                                           .dfn = t.some({24, 32}),
                                           .dbase = t.some({24}),
                                           .dscale = t.some({3}),
                                           .dpre = t.none({0, 4}),
                                           .dpost = t.none({0, 4}),
                                           .dcomb = t.none({0, 4, 4}),
                                           .dh = t.none({0, 8}),
                                           .x = t.none({0, 4, 8}),
                                           .fn = t.some({24, 32}),
                                           .base = t.some({24}),
                                           .scale = t.some({3}),
                                           .mixes = t.none({0, 24}),
                                           .rstd = t.none({0})});
  };
  c["hc_coefficients"] = [](Tensors& t) {
    hc_coefficients_forward(t.stream, {.mixes = t.none({0, 4, 6}),
                                       .rstd = t.none({0, 4}),
                                       .pre = t.none({0, 4}),
                                       .post = t.none({0, 4}),
                                       .comb = t.none({0, 4, 4}),
                                       .x = t.none({0, 4, 8}),
                                       .fn = t.some({6, 8}),
                                       .base = t.some({24}),
                                       .scale = t.some({2})});
  };
  c["hc_coefficients_backward"] = [](Tensors& t) {
    hc_coefficients_backward(t.stream, {.dx = t.none({0, 4, 8}),
                                        .dfn = t.some({6, 8}),
                                        .dbase = t.some({24}),
                                        .dscale = t.some({2}),
                                        .dpre = t.none({0, 4}),
                                        .dpost = t.none({0, 4}),
                                        .dcomb = t.none({0, 4, 4}),
                                        .x = t.none({0, 4, 8}),
                                        .fn = t.some({6, 8}),
                                        .scale = t.some({2}),
                                        .mixes = t.none({0, 4, 6}),
                                        .rstd = t.none({0, 4})});
  };
  c["hyper_gain"] = [](Tensors& t) {
    const Tensor comb = t.none({0, 4, 4});
    const Tensor sums = t.arena.take(DType::f64, {3});
    fill(t.stream, sums, kBefore);
    hyper_gain(t.stream, {sums, std::span(&comb, 1), t.none({0}, DType::u8)});
    if (t.stream.device.kind == DeviceKind::meta) return;
    EXPECT_THAT(read_values(t.stream, sums), testing::Each(0));
  };
  c["hyper_read"] = [](Tensors& t) {
    hyper_read_forward(t.stream, {t.none({0, 8}), t.none({0, 4, 8}), t.none({0, 4})});
  };
  c["hyper_read_backward"] = [](Tensors& t) {
    hyper_read_backward(t.stream,
                        {t.none({0, 4, 8}), t.none({0, 4}), t.none({0, 8}), t.none({0, 4, 8}), t.none({0, 4})});
  };
  c["sinkhorn"] = [](Tensors& t) { sinkhorn_forward(t.stream, {t.none({0, 4, 4}), t.none({0, 4, 4}), {5, 1e-6}}); };
  c["sinkhorn_backward"] = [](Tensors& t) {
    sinkhorn_backward(t.stream, {t.none({0, 4, 4}), t.none({0, 4, 4}), t.none({0, 4, 4}), {5, 1e-6}});
  };
  c["hyper_expand"] = [](Tensors& t) { hyper_expand(t.stream, {t.none({0, 4, 8}), t.none({0, 8})}); };
  c["hyper_collapse"] = [](Tensors& t) { hyper_collapse(t.stream, {t.none({0, 8}), t.none({0, 4, 8})}); };
  c["hyper_write_mix"] = [](Tensors& t) {
    hyper_write_mix_forward(t.stream,
                            {t.none({0, 4, 8}), t.none({0, 4, 8}), t.none({0, 8}), t.none({0, 4}), t.none({0, 4, 4})});
  };
  c["hyper_write_mix_backward"] = [](Tensors& t) {
    hyper_write_mix_backward(t.stream, {.dx = t.none({0, 4, 8}),
                                        .dy = t.none({0, 8}),
                                        .dpost = t.none({0, 4}),
                                        .dcomb = t.none({0, 4, 4}),
                                        .dx_next = t.none({0, 4, 8}),
                                        .x = t.none({0, 4, 8}),
                                        .y = t.none({0, 8}),
                                        .post = t.none({0, 4}),
                                        .comb = t.none({0, 4, 4})});
  };
  c["cross_entropy"] = [](Tensors& t) {
    cross_entropy(t.stream, {.loss = t.some({1}),
                             .nll = t.none({0}),
                             .dlogits = t.none({0, 5}),
                             .logits = t.none({0, 5}),
                             .targets = t.index({0}),
                             .weight = t.none({0}),
                             .z_loss = 1});
    const auto gemms = Precision(Recipe::f32).linear(5, 8, GemmRole::head);
    head_loss(t.stream, t.arena, *gemms,
              {.loss = t.some({1}),
               .nll = t.none({0}),
               .dx = t.none({0, 8}),
               .dhead = t.some({5, 8}),
               .x = t.none({0, 8}),
               .targets = t.index({0}),
               .weight = t.none({0}),
               .head = {t.some({5, 8}), 1, {}}});
  };
  c["cross_entropy_statistics"] = [](Tensors& t) {
    cross_entropy_statistics(
        t.stream,
        {.statistics = t.none({0, 3}), .logits = t.none({0, 5}), .targets = t.index({0}), .first = 2, .vocabulary = 9});
  };
  c["cross_entropy_part"] = [](Tensors& t) {
    cross_entropy_part(t.stream, {.loss = t.some({1}),
                                  .nll = t.none({0}),
                                  .dlogits = t.none({0, 5}),
                                  .logits = t.none({0, 5}),
                                  .statistics = t.none({3, 0, 3}),
                                  .targets = t.index({0}),
                                  .weight = t.none({0}),
                                  .first = 2,
                                  .vocabulary = 9,
                                  .z_loss = 1});
    const VocabularyPart part{
        .first = 2, .vocabulary = 9, .num_parts = 2, .gather = [](Stream&, Tensor, Tensor) { FAIL() << "no rows"; }};
    const auto gemms = Precision(Recipe::f32).linear(5, 8, GemmRole::head);
    head_loss(t.stream, t.arena, *gemms,
              {.loss = t.some({1}),
               .nll = t.none({0}),
               .dx = t.none({0, 8}),
               .dhead = t.some({5, 8}),
               .x = t.none({0, 8}),
               .targets = t.index({0}),
               .weight = t.none({0}),
               .head = {t.some({5, 8}), 1, {}},
               .part = &part});
  };
  // No sequences, and a run without tokens of two sequences, whose counts become 0.
  c["balance_counts"] = [](Tensors& t) {
    const auto run = [&](int64_t sequences, int64_t length) {
      const Tensor probability = t.none({sequences, 3}, kBalanceSums), counts = t.none({sequences, 4}, kBalanceSums);
      for (const Tensor& sums : {probability, counts}) fill(t.stream, sums, kBefore);
      balance_counts(t.stream, {.probability = probability,
                                .counts = counts,
                                .index = t.index({0, 2}),
                                .scores = t.none({0, 3}),
                                .chosen = t.index({0, 2}),
                                .token_mask = t.none({0}, DType::u8),
                                .first = sequences * length,
                                .length = length,
                                .num_chosen = 2});
      if (t.stream.device.kind == DeviceKind::meta) return;
      for (const Tensor& sums : {probability, counts}) EXPECT_THAT(read_values(t.stream, sums), testing::Each(0));
    };
    run(0, 4);
    run(2, 4);
    run(2, 0);
  };
  c["balance_loss"] = [](Tensors& t) {
    const auto run = [&](int64_t sequences) {
      const Tensor probability = t.none({sequences, 3}, kBalanceSums), counts = t.none({sequences, 4}, kBalanceSums);
      for (const Tensor& sums : {probability, counts}) fill_zero(t.stream, sums);
      balance_loss_forward(t.stream, {.loss = t.some({1}),
                                      .fraction = t.none({sequences, 3}),
                                      .probability = probability,
                                      .counts = counts,
                                      .num_chosen = 2,
                                      .alpha = 1});
    };
    run(0);
    run(2);
  };
  c["balance_loss_backward"] = [](Tensors& t) {
    for (const int64_t sequences : {0, 2}) {
      const Tensor fraction = t.none({sequences, 3}), counts = t.none({sequences, 4}, kBalanceSums);
      for (const Tensor& sums : {fraction, counts}) fill_zero(t.stream, sums);
      balance_loss_backward(t.stream, {.dscores = t.none({0, 3}),
                                       .scores = t.none({0, 3}),
                                       .fraction = fraction,
                                       .counts = counts,
                                       .token_mask = t.none({0}, DType::u8),
                                       .alpha = 1});
    }
  };
  c["router_bias_update"] = [](Tensors& t) { router_bias_update(t.stream, {t.none({0}), t.none({0}), 1}); };
  c["expert_order"] = [](Tensors& t) {
    expert_order(t.stream, {t.offsets(3), t.index({0, 2}), t.index({0}), t.index({0, 2})});
  };
  c["pair_destinations"] = [](Tensors& t) {
    pair_destinations(t.stream, {.to = t.index({0, 2}), .index = t.index({0, 2}), .token_mask = {}});
  };
  c["token_destinations"] = [](Tensors& t) {
    token_destinations(t.stream, {.to = t.index({0, 3}), .index = t.index({0, 2}), .token_mask = {}});
  };
  c["own_experts"] = [](Tensors& t) { own_experts(t.stream, {t.index({0, 2}), t.index({0, 2})}); };
  c["permute"] = [](Tensors& t) { permute_forward(t.stream, {t.none({0, 8}), t.none({0, 8}), t.index({0})}); };
  c["permute_backward"] = [](Tensors& t) {
    permute_backward(t.stream, {t.none({0, 8}), t.none({0, 8}), t.index({0, 2})});
  };
  c["combine"] = [](Tensors& t) {
    combine_forward(t.stream, {t.none({0, 8}), t.none({0, 8}), t.none({0, 2}), t.none({0, 8}), t.index({0, 2})});
  };
  c["combine_backward"] = [](Tensors& t) {
    combine_backward(t.stream, {.drows = t.none({0, 8}),
                                .dgate = t.none({0, 2}),
                                .dy = t.none({0, 8}),
                                .rows = t.none({0, 8}),
                                .gate = t.none({0, 2}),
                                .row_of = t.index({0, 2})});
  };
  c["permute_gate"] = [](Tensors& t) {
    permute_gate_forward(t.stream, {t.none({0}), t.none({0, 2}), t.index({0, 2})});
  };
  c["permute_gate_backward"] = [](Tensors& t) {
    permute_gate_backward(t.stream, {t.none({0, 2}), t.none({0}), t.index({0, 2})});
  };
  c["router"] = [](Tensors& t) {
    router_forward(t.stream, {.index = t.index({0, 2}),
                              .gate = t.none({0, 2}),
                              .scores = t.none({0, 3}),
                              .load = t.some({3}),
                              .logits = t.none({0, 3}),
                              .bias = t.some({3}),
                              .token_mask = t.none({0}, DType::u8),
                              .chosen = t.index({0, 2})});
  };
  c["router_backward"] = [](Tensors& t) {
    router_backward(t.stream, {.dlogits = t.none({0, 3}),
                               .dgate = t.none({0, 2}),
                               .dscores = t.none({0, 3}),
                               .scores = t.none({0, 3}),
                               .index = t.index({0, 2})});
  };
  c["layernorm"] = [](Tensors& t) {
    layernorm_forward(t.stream, {.y = t.none({0, 8}),
                                 .mean = t.none({0}),
                                 .rstd = t.none({0}),
                                 .x = t.none({0, 8}),
                                 .weight = t.some({8}),
                                 .bias = t.some({8})});
  };
  c["layernorm_backward"] = [](Tensors& t) {
    layernorm_backward(t.stream, {.dx = t.none({0, 8}),
                                  .dweight = t.some({8}),
                                  .dbias = t.some({8}),
                                  .dy = t.none({0, 8}),
                                  .x = t.none({0, 8}),
                                  .weight = t.some({8}),
                                  .mean = t.none({0}),
                                  .rstd = t.none({0})});
  };
  c["rmsnorm"] = [](Tensors& t) {
    rmsnorm_forward(t.stream, {t.none({0, 8}), t.none({0}), t.none({0, 8}), t.some({8}), 1e-6});
  };
  c["rmsnorm_backward"] = [](Tensors& t) {
    rmsnorm_backward(t.stream, {.dx = t.none({0, 8}),
                                .dgain = t.some({8}),
                                .dy = t.none({0, 8}),
                                .x = t.none({0, 8}),
                                .gain = t.some({8}),
                                .rstd = t.none({0})});
  };
  c["adamw"] = [](Tensors& t) {
    adamw(t.stream, {.weight = t.none({0, 8}),
                     .m = t.none({0, 8}),
                     .v = t.none({0, 8}),
                     .weight_copy = {},
                     .grad = t.none({0, 8}),
                     .hyper = {}});
    Arena workspace(t.stream.device);
    muon(t.stream, workspace, {t.none({0, 8}), t.none({0, 8}), {}, t.none({0, 8}), {}});
  };
  // A rank whose part of a table was not touched: its rows do not even decay.
  c["adamw_rows"] = [](Tensors& t) {
    adamw_rows(t.stream, {.weight = t.some({5, 8}),
                          .m = t.some({5, 8}),
                          .v = t.some({5, 8}),
                          .weight_copy = {},
                          .grad = t.none({0, 8}),
                          .rows = t.none({0}, DType::i64),
                          .first_row = 3,
                          .hyper = {.learning_rate = 1, .weight_decay = 0.1}});
  };
  const Case balanced = [](Tensors& t) {
    Arena workspace(t.stream.device);
    sinkhorn_balanced(t.stream, workspace,
                      {.weight = t.none({0, 8}),
                       .momentum = t.none({0, 8}),
                       .weight_copy = {},
                       .grad = t.none({0, 8}),
                       .rows = t.none({0}, DType::i64),
                       .first_row = 3,
                       .hyper = {},
                       .num_rows = 5,
                       .all_reduce = {}});
  };
  for (const char* phase : {"momentum", "select", "sum_columns", "scale_columns", "apply"}) {
    c[std::string("sinkhorn_") + phase] = balanced;
  }
  c["exact_squares"] = [](Tensors& t) {
    const Tensor digits = t.arena.take(DType::f64, {kSquareDigits});
    fill(t.stream, digits, 3);
    exact_squares(t.stream, {digits, t.none({0, 8})});
    for (const double digit : read_values(t.stream, digits)) EXPECT_EQ(digit, 0);
  };
  c["inverse_norm"] = [](Tensors& t) { inverse_norm(t.stream, {t.arena.take(DType::f32, {1}), t.none({0, 8})}); };
  c["abs_max"] = [](Tensors& t) { abs_max(t.stream, {t.arena.take(DType::f32, {1}), t.none({0, 8})}); };
  c["flag_nonfinite"] = [](Tensors& t) {
    const Tensor flag = t.arena.take(DType::i32, {1});
    fill_zero(t.stream, flag);
    flag_nonfinite(t.stream, {flag, t.none({0, 8})});
    int32_t bad = 0;
    to_host(t.stream, &bad, flag);
    EXPECT_EQ(bad, 0);
  };
  c["rope"] = [](Tensors& t) {
    rope(t.stream, {.y = t.none({0, 2, 8}),
                    .x = t.none({0, 2, 8}),
                    .positions = t.index({0}),
                    .table = t.some({4, 2, 2}),
                    .offset = 4,
                    .layout = RopeLayout::half,
                    .direction = RopeDirection::inverse});
  };
  return c;
}

class ZeroRows : public testing::TestWithParam<DeviceKind> {};

TEST_P(ZeroRows, ChangeNothing) {
  for (const auto& [op, run] : cases()) {
    SCOPED_TRACE(op);
    if (op == "pack_weight" && GetParam() == DeviceKind::reference) continue;  // it uses the weight itself
    Tensors t(GetParam());
    run(t);
    EXPECT_TRUE(t.names.seen.contains(op)) << "the case ran another op";
    if (GetParam() == DeviceKind::meta) continue;
    for (const Tensor& kept : t.kept) {
      EXPECT_THAT(read_values(t.stream, kept), testing::Each(kBefore)) << kept.shape;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, ZeroRows, testing::Values(DeviceKind::cpu, DeviceKind::reference, DeviceKind::meta),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

// Every op opens a scope with a name. These are the names in the sources.
TEST(ZeroRowsOfEveryOp, AreTested) {
  const char* const root = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::regex scope("OpScope scope\\(stream, \"(\\w+)\"\\)");
  const std::map<std::string, Case> tested = cases();
  size_t found = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(std::string(root ? root : ".") + "/kernels")) {
    if (file.path().extension() != ".cc") continue;
    const std::string text = read_file(file.path());
    for (std::sregex_iterator m(text.begin(), text.end(), scope), end; m != end; ++m) {
      ++found;
      EXPECT_TRUE(tested.contains((*m)[1]))
          << file.path() << ": " << (*m)[1] << " has no case in tests/kernels/zero_rows_test.cc";
    }
  }
  EXPECT_GT(found, 60u);
}

}  // namespace
}  // namespace birkhoff
