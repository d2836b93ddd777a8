#include "trainer/loop/trainer.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/copy.h"
#include "kernels/hyper/gain.h"
#include "kernels/moe/bias_update.h"
#include "kernels/reduce/reduce.h"

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

void Trainer::run_microbatches(const StepBatch& batch, const Normalizers& normalizers) {
  Decoder& decoder = *model_->decoder;
  for (size_t m = 0; m < batch.microbatches.size(); ++m) {
    const bool last = m + 1 == batch.microbatches.size();
    frame_.clear();
    frame_.batch = upload(stream_, frame_.activations, batch.microbatches[m], normalizers, depth_weights_);
    frame_.batch.engram_rows = rows_;
    frame_.batch.engram_row_gradients = row_gradients_;
    const State out = decoder.forward(frame_);
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
    report.first_nonfinite = "loss";
  }
}

// Sums of squares per logical tensor, added in the order of the parameters. A tensor cut between replicas is the sum of
// its parts in rank order.
void Trainer::measure_norm(StepReport& report) {
  const ParameterStore& parameters = *model_->parameters;
  const int64_t dense = static_cast<int64_t>(parameters.entries().size());
  const int64_t count = dense + static_cast<int64_t>(tables_.size());
  const ArenaScope scope(step_arena_);
  const Tensor sums = step_arena_.take(DType::f64, {count});
  fill_zero(stream_, sums);
  for (const ParameterStore::Owned& o : parameters.owned()) {
    sum_of_squares(stream_, {sums.flat(static_cast<int64_t>(o.index), 1), o.gradient});
  }
  for (size_t i = 0; i < tables_.size(); ++i) {
    sum_of_squares(stream_, {sums.flat(dense + static_cast<int64_t>(i), 1), model_->tables[i]->gradient().values});
  }
  replicas_->all_reduce(sums)->wait(stream_);
  const std::vector<double> squares = read_values(stream_, sums);
  double total = 0;
  for (size_t i = 0; i < squares.size(); ++i) {
    const bool table = static_cast<int64_t>(i) >= dense;
    const size_t t = i - static_cast<size_t>(dense);
    // A balanced update does not depend on the gradient's size, so its rows have no part in the norm.
    if (!table || tables_[t]->options().kind == TableOptions::Kind::sparse_adamw) total += squares[i];
    if (std::isfinite(squares[i]) || !report.first_nonfinite.empty()) continue;
    report.skip_reason = "non-finite";
    report.first_nonfinite =
        "gradient of " + (table ? tables_[t]->table().name() : parameters.entries()[i].parameter->name);
  }
  report.grad_norm = std::sqrt(total);
}

void Trainer::read_loads(StepReport& report) {
  for (const ParameterStore::Router& router : model_->parameters->routers()) {
    const std::vector<double> load = read_values(stream_, router.load->value);
    double sum = 0, largest = 0;
    for (double l : load) {
      sum += l;
      largest = std::max(largest, l);
      report.dead_experts += l == 0;
    }
    if (sum > 0)
      report.expert_load_max = std::max(report.expert_load_max, largest * static_cast<double>(load.size()) / sum);
  }
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
    frame_.clear();
    frame_.batch = upload(stream_, frame_.activations, microbatch, ones, depth_weights_);
    frame_.batch.engram_rows = rows_;
    frame_.replaying = true;  // an evaluation leaves no trace in the loads
    const State out = model_->decoder->forward(frame_);
    frame_.replaying = false;
    model_->decoder->loss(frame_, out, Pass::evaluation);
  }
  sums.nats = read_values(stream_, model_->decoder->loss_counter().value)[0];
  sums.tokens = static_cast<double>(batch.local_targets.at(0));
  return sums;
}

std::optional<std::pair<double, double>> Trainer::gain() {
  const std::vector<Tensor> combs = model_->decoder->combs(frame_);
  if (combs.empty()) return std::nullopt;
  const ArenaScope scope(step_arena_);
  const Tensor gain = step_arena_.take(DType::f32, {2});
  hyper_gain(stream_, {gain, combs});
  const std::vector<double> values = read_values(stream_, gain);
  return std::pair{values[0], values[1]};
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
  v.integer("trainer.steps", steps_);
  v.integer("trainer.updates", updates_);
}

}  // namespace birkhoff
