#include "tests/trainer/support/tiny_model.h"

#include <algorithm>
#include <set>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/optim/optimizer.h"
#include "trainer/step/device_batch.h"

namespace birkhoff::test {
namespace {

constexpr double kDepthWeights[] = {1, 0.3, 0.2};
constexpr int64_t kTableRows = 29;

void set_latent_attention(DecoderOptions& d, int64_t q_lora_rank) {
  d.rope = {};
  d.attention = {};
  AttentionOptions& o = d.attention;
  o.type = AttentionType::mla;
  o.num_heads = 2;
  o.q_lora_rank = q_lora_rank;
  o.kv_lora_rank = 7;
  o.qk_nope_head_dim = 4;
  o.qk_rope_head_dim = 4;
  o.v_head_dim = 5;
}

// Heads of 6, the last 4 of which are rotated.
void set_head_attention(DecoderOptions& d, int64_t kv_heads, RopeLayout layout) {
  d.attention = {};
  d.attention.type = AttentionType::gqa;
  d.attention.num_heads = 4;
  d.attention.num_kv_heads = kv_heads;
  d.attention.head_dim = 6;
  d.rope.dims = 4;
  d.rope.layout = layout;
}

MoeOptions experts() {
  MoeOptions o;
  o.num_experts = 6;
  o.top_k = 2;
  o.expert_size = 5;
  o.num_shared = 1;
  o.num_groups = 3;
  o.top_groups = 2;
  o.route_scale = 1.5f;
  o.sequence_balance_loss = 0.25f;
  return o;
}

ModelOptions dense_options() {
  ModelOptions m;
  DecoderOptions& d = m.decoder;
  d.vocab_size = 19;
  d.hidden_size = 12;
  d.num_layers = 2;
  set_head_attention(d, 4, RopeLayout::half);
  d.ffn.size = 10;
  m.cost_of = [](const Parameter& p) { return update_cost(p, OptimizerType::adamw); };
  return m;
}

void add_engram(ModelOptions& m, bool conv) {
  m.decoder.engram.layers = {1};
  m.decoder.engram.num_heads = 2;  // with two orders: four rows per token
  m.decoder.engram.head_dim = 3;
  m.decoder.engram.conv = conv;
  m.decoder.engram.conv_dilation = 2;
  m.table_rows = {kTableRows};
}

ModelOptions gpt_options() {
  ModelOptions m = dense_options();
  m.decoder.norm.type = NormType::layernorm;
  m.decoder.attention.bias = true;
  m.decoder.position = PositionType::learned;
  m.decoder.max_positions = 16;
  m.decoder.ffn.activation = Activation::gelu;
  m.decoder.ffn.bias = true;
  m.decoder.tie_embeddings = true;
  return m;
}

ModelOptions grouped_options() {
  ModelOptions m = dense_options();
  set_head_attention(m.decoder, 2, RopeLayout::interleaved);
  m.decoder.attention.qk_norm = true;
  m.decoder.ffn.clamp = 2.5f;
  m.decoder.residual.type = ResidualType::hc;
  m.decoder.residual.streams = 2;
  m.decoder.mtp.depth = 1;
  m.decoder.z_loss = 0.01f;
  add_engram(m, false);
  return m;
}

ModelOptions single_pass_options() {
  ModelOptions m = full_options();
  set_latent_attention(m.decoder, 0);
  m.decoder.attention.qk_norm = true;
  m.decoder.rope.yarn.factor = 4;
  m.decoder.rope.yarn.original_length = 8;
  m.decoder.rope.yarn.mscale_all_dim = 0.5;  // differs from mscale, so cosines and sines get a factor
  m.decoder.moe.score_function = RouterScore::sqrt_softplus;
  m.decoder.moe.num_groups = m.decoder.moe.top_groups = 1;
  m.decoder.residual.type = ResidualType::mhc_single_pass;
  m.decoder.engram.conv = false;
  m.decoder.mtp.depth = 1;
  m.decoder.tie_embeddings = true;
  return m;
}

ModelOptions softmax_options() {
  ModelOptions m = dense_options();
  set_head_attention(m.decoder, 1, RopeLayout::half);
  m.decoder.moe = experts();
  m.decoder.moe.score_function = RouterScore::softmax;
  m.decoder.moe.renormalize = false;
  m.decoder.moe.num_shared = 0;
  m.decoder.mtp.depth = 2;
  return m;
}

// Clamps small enough to act in dense, shared and routed feed-forward layers, and gates before the down projection.
ModelOptions clamped_options() {
  ModelOptions m = full_options();
  m.decoder.ffn.clamp = 0.7f;
  m.decoder.moe.gate_position = GatePosition::inner;
  m.decoder.moe.num_shared = 2;
  m.decoder.residual.post_factor = 1.5f;
  m.decoder.engram.conv = false;
  m.decoder.engram.gate.root = false;
  m.decoder.tie_embeddings = true;
  m.decoder.z_loss = 0.01f;
  return m;
}

// Engram on a single stream, with all its options.
ModelOptions memory_options() {
  ModelOptions m = dense_options();
  add_engram(m, true);
  m.decoder.engram.layers = {0, 1};
  m.decoder.engram.bias = true;
  m.decoder.engram.gate.root = false;
  m.decoder.engram.conv_kernel = 3;
  m.decoder.engram.conv_eps = 1e-3f;
  m.table_rows = {kTableRows, kTableRows + 2};
  return m;
}

// One sequence: its tokens and targets, and the documents that the tokens belong to.
struct Sequence {
  std::vector<int32_t> tokens, positions, starts;
  std::vector<std::vector<int32_t>> targets;
};

// Draws `beyond` tokens more than the length of the sequence, because targets of a document that the end of the
// sequence cuts off may lie past it.
Sequence draw_sequence(const ModelOptions& o, const TinyStep& step, int64_t number) {
  const Philox random(step.seed, static_cast<uint64_t>(number));
  const int64_t depths = 1 + o.decoder.mtp.depth, beyond = depths;
  uint64_t draw = 0;
  Sequence s;
  std::vector<int64_t> document_end;
  for (int64_t begin = 0; begin < step.length + beyond;) {
    const int64_t end = begin + 1 + static_cast<int64_t>(random.below(draw++, 7));
    for (; begin < end; ++begin) {
      s.tokens.push_back(static_cast<int32_t>(random.below(draw++, static_cast<uint64_t>(o.decoder.vocab_size))));
      s.positions.push_back(document_end.empty() || document_end.back() != end ? 0 : s.positions.back() + 1);
      s.starts.push_back(static_cast<int32_t>(begin) - s.positions.back());
      document_end.push_back(end);
    }
  }
  s.targets.resize(static_cast<size_t>(depths));
  for (int64_t d = 0; d < depths; ++d) {
    for (int64_t t = 0; t < step.length; ++t) {
      const bool masked = (number + t) % 9 == 4;
      const bool none = t + d + 1 >= document_end[static_cast<size_t>(t)] || masked;
      s.targets[static_cast<size_t>(d)].push_back(none ? -1 : s.tokens[static_cast<size_t>(t + d + 1)]);
    }
  }
  return s;
}

int64_t row_of(const Sequence& s, int64_t t, int64_t column, int64_t rows) {
  const size_t i = static_cast<size_t>(t);
  const int64_t before = s.positions[i] > 0 ? s.tokens[i - 1] : 0;
  return (7 * s.tokens[i] + 5 * before + 11 * column) % rows;
}

// Appends masked tokens as a document of their own. Their values are arbitrary.
void append_padding(Batch& b, int64_t count, std::vector<std::vector<int64_t>>& rows, const ModelOptions& o) {
  const auto start = static_cast<int32_t>(b.tokens.size());
  b.token_mask.resize(b.tokens.size(), 1);
  for (int32_t i = 0; i < count; ++i) {
    b.tokens.push_back((start + i) % static_cast<int32_t>(o.decoder.vocab_size));
    b.positions.push_back(i);
    b.document_start.push_back(start);
    b.loss_weights.push_back(0);
    b.token_mask.push_back(0);
    for (auto& targets : b.targets) targets.push_back(-1);
    for (size_t l = 0; l < rows.size(); ++l) {
      for (int64_t k = 0; k < o.decoder.engram.rows_per_token(); ++k)
        rows[l].push_back((start + 3 * i + k) % o.table_rows[l]);
    }
  }
}

Batch draw_microbatch(const ModelOptions& o, const TinyStep& step, int64_t first, int64_t count,
                      std::vector<std::vector<int64_t>>& rows) {
  Batch b;
  b.num_sequences = count;
  b.sequence_length = step.length + step.padding;
  b.targets.resize(static_cast<size_t>(1 + o.decoder.mtp.depth));
  rows.assign(o.table_rows.size(), {});
  for (int64_t n = 0; n < count; ++n) {
    const Sequence s = draw_sequence(o, step, first + n);
    for (int64_t t = 0; t < step.length; ++t) {
      const size_t i = static_cast<size_t>(t);
      b.tokens.push_back(s.tokens[i]);
      b.positions.push_back(s.positions[i]);
      b.document_start.push_back(static_cast<int32_t>(n * b.sequence_length) + s.starts[i]);
      for (size_t d = 0; d < b.targets.size(); ++d) b.targets[d].push_back(s.targets[d][i]);
      b.loss_weights.push_back(s.targets[0][i] < 0 ? 0.0f : 1.0f);
      for (size_t l = 0; l < rows.size(); ++l) {
        for (int64_t k = 0; k < o.decoder.engram.rows_per_token(); ++k)
          rows[l].push_back(row_of(s, t, k, o.table_rows[l]));
      }
    }
    if (step.padding > 0) append_padding(b, step.padding, rows, o);
  }
  return b;
}

}  // namespace

ModelOptions full_options() {
  ModelOptions m = dense_options();
  set_latent_attention(m.decoder, 5);
  m.decoder.moe = experts();
  m.decoder.moe.first_dense_layers = 1;
  m.decoder.residual.type = ResidualType::mhc;
  m.decoder.residual.streams = 4;
  m.decoder.mtp.depth = 2;
  add_engram(m, true);
  return m;
}

std::vector<Variant> variants() {
  return {{"full", full_options()},
          {"plain", dense_options()},
          {"gpt", gpt_options()},
          {"grouped", grouped_options()},
          {"single_pass", single_pass_options()},
          {"softmax", softmax_options()},
          {"clamped", clamped_options()},
          {"memory", memory_options()}};
}

StepBatch tiny_batch(const ModelOptions& o, const TinyStep& step) {
  StepBatch out;
  const int64_t each = step.sequences / step.ranks, begin = each * step.rank;
  std::vector<std::vector<std::vector<int64_t>>> rows;  // per microbatch and layer
  for (int64_t first = begin; first < begin + each; first += step.microbatch) {
    rows.emplace_back();
    const int64_t count = std::min(step.microbatch, begin + each - first);
    out.microbatches.push_back(draw_microbatch(o, step, first, count, rows.back()));
  }
  for (size_t l = 0; l < o.table_rows.size(); ++l) {
    std::set<int64_t> unique;
    for (const auto& r : rows) unique.insert(r[l].begin(), r[l].end());
    out.engram_rows.emplace_back(unique.begin(), unique.end());
    const auto& sorted = out.engram_rows.back();
    for (size_t m = 0; m < rows.size(); ++m) {
      std::vector<int32_t> index;
      for (int64_t row : rows[m][l]) {
        index.push_back(static_cast<int32_t>(std::lower_bound(sorted.begin(), sorted.end(), row) - sorted.begin()));
      }
      out.microbatches[m].engram_index.push_back(std::move(index));
    }
  }
  out.local_targets.assign(static_cast<size_t>(1 + o.decoder.mtp.depth), 0);
  for (const Batch& b : out.microbatches) {
    for (size_t d = 0; d < b.targets.size(); ++d) {
      out.local_targets[d] += std::count_if(b.targets[d].begin(), b.targets[d].end(), [](int32_t t) { return t >= 0; });
    }
  }
  return out;
}

Batch without_sequences(const Batch& like) {
  Batch empty;
  empty.sequence_length = like.sequence_length;
  empty.targets.resize(like.targets.size());
  empty.engram_index.resize(like.engram_index.size());
  return empty;
}

void remove_sequences(StepBatch& step) {
  for (Batch& b : step.microbatches) b = without_sequences(b);
  for (std::vector<int64_t>& rows : step.engram_rows) rows.clear();
  for (int64_t& targets : step.local_targets) targets = 0;
}

Program forwards_first(int num_microbatches) {
  Program program = forward_program(1, num_microbatches);
  for (int m = 0; m < num_microbatches; ++m) program.actions.push_back({Action::Kind::backward, 0, m});
  return program;
}

TinyModel::TinyModel(Device device, const ModelOptions& options, uint64_t seed)
    : stream{device}, alone_(std::move(make_thread_world(1)[0])), rows_memory_(device) {
  mesh_ = std::make_unique<Mesh>(*alone_, MeshDegrees{});
  model = make_model(device, *mesh_, options);
  runner_ = std::make_unique<Runner>(stream, model.decoder->stages(), model.build.num_slots);
  set_trained_values(stream, model, seed);
}

void TinyModel::fetch_rows(const StepBatch& batch) {
  rows_memory_.reset();
  rows_.clear();
  row_gradients_.clear();
  for (size_t i = 0; i < model.tables.size(); ++i) {
    const Shape shape{static_cast<int64_t>(batch.engram_rows[i].size()), model.tables[i]->row_width()};
    rows_.push_back(rows_memory_.take(DType::f32, shape));
    row_gradients_.push_back(rows_memory_.take(DType::f32, shape));
    model.tables[i]->fetch(stream, batch.engram_rows[i], rows_[i]);
    fill_zero(stream, row_gradients_[i]);
  }
}

double TinyModel::run(const StepBatch& batch, Work work) {
  const int chunks = static_cast<int>(model.decoder->stages().size());
  const int count = static_cast<int>(batch.microbatches.size());
  return run(batch, work == Work::gradients ? sequential_program(chunks, count) : forward_program(chunks, count),
             nullptr, work == Work::evaluation ? Frame::Mode::evaluation : Frame::Mode::training);
}

double TinyModel::run(const StepBatch& batch, const Program& program, Instrument* instrument, Frame::Mode mode) {
  Normalizers n;
  n.sequences = 0;
  for (const Batch& b : batch.microbatches) n.sequences += static_cast<double>(b.num_sequences);
  for (int64_t t : batch.local_targets) n.targets.push_back(static_cast<double>(t));
  fetch_rows(batch);
  model.parameters->begin_step(stream);
  const auto view = [&](Arena& memory, size_t m) {
    BatchView v = upload(stream, memory, batch.microbatches[m], n, {kDepthWeights, kDepthWeights + n.targets.size()});
    v.engram_rows = rows_;
    v.engram_row_gradients = row_gradients_;
    return v;
  };
  runner_->run(
      {.program = &program, .batch = view, .mode = mode, .instrument = instrument, .on_unit_done = [&](int unit) {
         model.parameters->start_reduce(stream, unit);
       }});
  const bool backward = std::any_of(program.actions.begin(), program.actions.end(),
                                    [](const Action& a) { return a.kind != Action::Kind::forward; });
  if (backward) model.parameters->wait_reduced(stream);
  double total = 0;
  for (StepCounter* c : model.parameters->counters()) {
    if (c->name.ends_with(".load")) continue;
    for (double value : read_values(stream, c->value)) total += value;
  }
  return total;
}

std::vector<TinyModel::Gradient> TinyModel::gradients() {
  std::vector<Gradient> out;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    out.push_back({e.parameter->name, read_values(stream, e.parameter->grad)});
  }
  for (size_t i = 0; i < row_gradients_.size(); ++i) {
    out.push_back({model.tables[i]->name(), read_values(stream, row_gradients_[i])});
  }
  return out;
}

}  // namespace birkhoff::test
