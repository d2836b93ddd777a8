#include "trainer/step/trainer.h"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise/copy.h"
#include "kernels/hyper/gain.h"
#include "kernels/moe/bias_update.h"
#include "kernels/reduce/reduce.h"
#include "trainer/step/nonfinite.h"

namespace birkhoff {

Trainer::Trainer(Stream stream, Communicator& replicas, Model& model, const TrainerOptions& options)
    : between_ops_(stream.observer, replicas),
      stream_(between_ops_.watch(stream)),
      replicas_(&replicas),
      model_(&model),
      options_(options),
      dense_(std::make_unique<DenseOptimizer>(stream.device, *model.parameters, options.dense)),
      spike_(options.spike),
      frame_(stream_, model.build.num_slots),
      step_arena_(stream.device) {
  const int64_t depth = model.decoder->options().mtp_depth;
  depth_weights_.assign(static_cast<size_t>(1 + depth), options.mtp_weight / std::max(1.0, static_cast<double>(depth)));
  depth_weights_[0] = 1;
  for (size_t i = 0; i < model.tables.size(); ++i) {
    TableOptions table = options.table;
    if (i < options.table_matrix_begins.size()) table.matrix_begins = options.table_matrix_begins[i];
    tables_.push_back(std::make_unique<TableOptimizer>(stream.device, *model.tables[i], std::move(table)));
  }
}

StepReport Trainer::step(const StepBatch& batch, double learning_rate, const std::function<void()>& before_update) {
  StepReport report;
  const Normalizers normalizers = count_targets(batch);
  fetch_rows(batch);
  model_->parameters->begin_step(stream_);
  run_microbatches(batch, normalizers);
  reduce_gradients(batch);
  read_losses(report);
  measure_norm(report);
  read_loads(report);
  reduce_gain(report);
  if (report.skip_reason == "non-finite") {
    const std::string where =
        find_nonfinite({.stream = stream_,
                        .replicas = replicas_,
                        .model = model_,
                        .frame = &frame_,
                        .row_gradients = &row_gradients_,
                        .num_microbatches = batch.microbatches.size(),
                        .forward = [&](size_t m) { return run_forward(batch.microbatches[m], normalizers); }});
    if (!where.empty()) report.first_nonfinite = where;
  }
  if (before_update) before_update();
  if (report.skip_reason.empty() && spike_.is_spike(report.loss)) report.skip_reason = "spike";
  report.skipped = report.skip_reason == "non-finite" || (report.skip_reason == "spike" && options_.spike.skip);
  if (!report.skipped) {
    const bool clip = options_.clip_norm > 0 && report.grad_norm > options_.clip_norm;
    update(learning_rate, clip ? options_.clip_norm / report.grad_norm : 1.0);
  }
  ++steps_;
  return report;
}

// Known before the first forward, so that gradients need no division afterwards and loss weights carry it.
Normalizers Trainer::count_targets(const StepBatch& batch) {
  std::vector<double> counts(depth_weights_.size() + 1, 0.0);
  for (size_t d = 0; d < depth_weights_.size(); ++d) counts[d] = static_cast<double>(batch.local_targets.at(d));
  for (const Batch& b : batch.microbatches) counts.back() += static_cast<double>(b.num_sequences);
  replicas_->all_reduce({counts.data(), DType::f64, {static_cast<int64_t>(counts.size())}})->wait(stream_);
  Normalizers n;
  n.sequences = counts.back();
  counts.pop_back();
  n.targets = std::move(counts);
  return n;
}

void Trainer::fetch_rows(const StepBatch& batch) {
  step_arena_.reset();
  rows_.clear();
  row_gradients_.clear();
  for (size_t i = 0; i < model_->tables.size(); ++i) {
    const Shape shape{static_cast<int64_t>(batch.engram_rows.at(i).size()), model_->tables[i]->row_width()};
    rows_.push_back(step_arena_.take(DType::f32, shape));
    row_gradients_.push_back(step_arena_.take(DType::f32, shape));
    model_->tables[i]->fetch(stream_, batch.engram_rows[i], rows_.back());
    fill_zero(stream_, row_gradients_.back());
  }
}

State Trainer::run_forward(const Batch& microbatch, const Normalizers& normalizers) {
  frame_.clear();
  frame_.batch = upload(stream_, frame_.activations, microbatch, normalizers, depth_weights_);
  frame_.batch.engram_rows = rows_;
  frame_.batch.engram_row_gradients = row_gradients_;
  return model_->decoder->forward(frame_);
}

void Trainer::run_microbatches(const StepBatch& batch, const Normalizers& normalizers) {
  Decoder& decoder = *model_->decoder;
  gain_.clear();
  for (size_t m = 0; m < batch.microbatches.size(); ++m) {
    const bool last = m + 1 == batch.microbatches.size();
    const State out = run_forward(batch.microbatches[m], normalizers);
    if (frame_.keep_combs) add_gain();
    const State gradient = decoder.loss(frame_, out, Pass::training);
    decoder.backward(frame_, gradient, [&](int unit) {
      if (last) model_->parameters->start_reduce(stream_, unit);
    });
  }
}

void Trainer::reduce_gradients(const StepBatch& batch) {
  for (size_t i = 0; i < model_->tables.size(); ++i) {
    model_->tables[i]->add_gradients(stream_, batch.engram_rows[i], row_gradients_[i]);
  }
  model_->parameters->wait_reduced(stream_);
  reduce_counters();
}

void Trainer::reduce_counters() {
  std::vector<Communicator::Pending> pending;
  for (StepCounter* c : model_->parameters->counters()) pending.push_back(replicas_->all_reduce(c->value));
  for (auto& p : pending) p->wait(stream_);
}

void Trainer::read_losses(StepReport& report) {
  const std::vector<double> losses = read_values(stream_, model_->decoder->loss_counter().value);
  report.loss = losses[0];
  for (size_t d = 1; d < losses.size(); ++d) {
    report.mtp_loss.push_back(depth_weights_[d] > 0 ? losses[d] / depth_weights_[d] : 0);
  }
  double total = 0;
  for (double l : losses) total += l;
  for (StepCounter* c : model_->parameters->counters()) {
    if (c->name.ends_with(".balance_loss")) report.balance_loss += read_scalar(stream_, c->value);
  }
  if (!std::isfinite(total + report.balance_loss)) {
    report.skip_reason = "non-finite";
    report.first_nonfinite = "the loss";
  }
}

// Per logical tensor: gradients in the order of the parameters, then of the tables; then router biases, which steer
// choices alone, so that nothing else shows one that is not finite. A tensor cut between replicas is the sum of its
// parts in rank order.
std::vector<double> Trainer::sums_of_squares() {
  const ParameterStore& parameters = *model_->parameters;
  const size_t dense = parameters.entries().size(), first_bias = dense + tables_.size();
  const ArenaScope scope(step_arena_);
  const Tensor sums = step_arena_.take(DType::f64, {static_cast<int64_t>(first_bias + parameters.buffers().size())});
  fill_zero(stream_, sums);
  auto sum = [&](size_t at, Tensor x) { sum_of_squares(stream_, {sums.flat(static_cast<int64_t>(at), 1), x}); };
  for (const ParameterStore::Owned& o : parameters.owned()) sum(o.index, o.gradient);
  for (size_t i = 0; i < tables_.size(); ++i) sum(dense + i, model_->tables[i]->gradient().values);
  for (size_t i = 0; i < parameters.buffers().size(); ++i) sum(first_bias + i, parameters.buffers()[i]->value);
  replicas_->all_reduce(sums)->wait(stream_);
  return read_values(stream_, sums);
}

// "the gradient of head.weight", by the place in sums_of_squares().
std::string Trainer::name_of_sum(size_t at) const {
  const ParameterStore& parameters = *model_->parameters;
  const size_t dense = parameters.entries().size(), first_bias = dense + tables_.size();
  if (at < dense) return "the gradient of " + parameters.entries()[at].parameter->name;
  if (at < first_bias) return "the gradient of " + tables_[at - dense]->table().name();
  return "the value of " + parameters.buffers()[at - first_bias]->name;
}

void Trainer::measure_norm(StepReport& report) {
  const std::vector<double> squares = sums_of_squares();
  const size_t dense = model_->parameters->entries().size();
  double total = 0;
  for (size_t i = 0; i < dense; ++i) total += squares[i];
  for (size_t t = 0; t < tables_.size(); ++t) {
    // A balanced update does not depend on the gradient's size, so its rows have no part in the norm.
    if (tables_[t]->options().kind == TableOptions::Kind::sparse_adamw) total += squares[dense + t];
  }
  report.grad_norm = std::sqrt(total);
  // The last parameter in forward order: from there a backward spreads it.
  for (size_t n = 0; n < squares.size() && report.skip_reason.empty(); ++n) {
    const size_t i = n < dense ? dense - 1 - n : n;
    if (std::isfinite(squares[i])) continue;
    report.skip_reason = "non-finite";
    report.first_nonfinite = name_of_sum(i);
  }
}

void Trainer::read_loads(StepReport& report) {
  std::vector<double> ratios;  // of every expert, over the mean of its layer
  for (const ParameterStore::Router& router : model_->parameters->routers()) {
    const std::vector<double> load = read_values(stream_, router.load->value);
    double sum = 0;
    for (double l : load) {
      sum += l;
      report.dead_experts += l == 0;
    }
    for (double l : load) ratios.push_back(sum > 0 ? l * static_cast<double>(load.size()) / sum : 0);
  }
  if (ratios.empty()) return;
  std::sort(ratios.begin(), ratios.end());
  report.expert_load_max = ratios.back();
  report.expert_load_p95 = ratios[(ratios.size() - 1) * 95 / 100];
  report.expert_load_min = ratios.front();
}

// Of the microbatch whose forward has just run.
void Trainer::add_gain() {
  const std::vector<Tensor> combs = model_->decoder->combs(frame_);
  if (combs.empty()) return;
  const ArenaScope scope(step_arena_);
  const Tensor gain = step_arena_.take(DType::f32, {2});
  hyper_gain(stream_, {gain, combs});
  const std::vector<double> values = read_values(stream_, gain);
  gain_.resize(2, 0);
  for (size_t i = 0; i < 2; ++i) gain_[i] = std::max(gain_[i], values[i]);
}

void Trainer::reduce_gain(StepReport& report) {
  if (gain_.empty()) return;
  replicas_->all_reduce({gain_.data(), DType::f64, {2}}, Reduce::max)->wait(stream_);
  report.gain = {gain_[0], gain_[1]};
}

void Trainer::update(double learning_rate, double grad_scale) {
  ++updates_;
  const UpdateStep u{learning_rate, grad_scale, updates_};
  dense_->step(stream_, u);
  model_->parameters->publish(stream_);
  for (auto& table : tables_) {
    UpdateStep own = u;
    if (table->options().kind == TableOptions::Kind::balanced) own.grad_scale = 1;
    table->step(stream_, own);
  }
  if (options_.bias_update_speed == 0) return;
  for (const ParameterStore::Router& router : model_->parameters->routers()) {
    router_bias_update(stream_, {router.bias->value, router.load->value, options_.bias_update_speed});
  }
}

Trainer::Evaluation Trainer::evaluate(const StepBatch& batch) {
  fetch_rows(batch);
  fill_zero(stream_, model_->decoder->loss_counter().value);
  Evaluation sums;
  const Normalizers ones{std::vector<double>(depth_weights_.size(), 1.0), 1};
  for (const Batch& microbatch : batch.microbatches) {
    frame_.replaying = true;  // an evaluation leaves no trace in the loads
    const State out = run_forward(microbatch, ones);
    frame_.replaying = false;
    model_->decoder->loss(frame_, out, Pass::evaluation);
  }
  sums.nats = read_values(stream_, model_->decoder->loss_counter().value)[0];
  sums.tokens = static_cast<double>(batch.local_targets.at(0));
  return sums;
}

std::string Trainer::optimizer_table() const {
  OptimizerTableArgs args{model_->parameters.get(), dense_->options(), {}, options_.bias_update_speed};
  for (const auto& table : tables_) args.tables.push_back(table.get());
  return birkhoff::optimizer_table(args);
}

size_t Trainer::table_state_bytes() const {
  size_t sum = 0;
  for (const auto& table : tables_) sum += table->bytes();
  return sum;
}

size_t Trainer::workspace_bytes() const {
  size_t sum = step_arena_.peak_bytes() + dense_->workspace_bytes();
  for (const auto& table : tables_) sum += table->workspace_bytes();
  return sum;
}

void Trainer::state(StateVisitor& v) {
  model_->state(v);
  dense_->state(v);
  for (auto& table : tables_) table->state(v);
  spike_.state(v);
  visit_count(v, "trainer.steps", steps_);
  visit_count(v, "trainer.updates", updates_, steps_);
}

}  // namespace birkhoff
