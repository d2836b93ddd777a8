#include "trainer/step/trainer.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "kernels/moe/bias_update.h"

namespace birkhoff {

namespace {

TokenSplit split_of(const Mesh& mesh, const EngramOptions& engram) {
  const bool looks_back = !engram.layers.empty() && engram.conv && mesh.degree(Axis::tp) > 1;
  return {mesh.coordinate(Axis::tp), mesh.degree(Axis::tp), looks_back ? engram.halo() : 0};
}

}  // namespace

Trainer::Trainer(Stream stream, const Mesh& mesh, Model& model, const TrainerOptions& options)
    : between_ops_(stream.observer, mesh.world()),
      stream_(between_ops_.attach(stream)),
      mesh_(&mesh),
      model_(&model),
      options_(options),
      depth_weights_(depth_weights(model.decoder->options().mtp)),
      split_(split_of(mesh, model.decoder->options().engram)),
      dense_(std::make_unique<DenseOptimizer>(stream.device, *model.parameters, options.optimizer, options.precision)),
      spike_(options.optimizer.spike),
      runner_(stream_, model.decoder->stages(), model.build.num_slots),
      step_arena_(stream.device),
      table_rows_(model.tables),
      gain_(step_arena_) {
  for (size_t i = 0; i < model.tables.size(); ++i) {
    const bool given = i < options.table_matrix_begins.size();
    tables_.push_back(
        std::make_unique<TableOptimizer>(stream.device, *model.tables[i], options.optimizer, options.precision,
                                         given ? options.table_matrix_begins[i] : std::vector<int64_t>{0}));
  }
  sums_ = list_of_sums(model, tables_);
}

const StepBatch& Trainer::own_share(const StepBatch& batch) {
  if (!split_.divides()) return batch;
  // A plan on the meta device runs one rank alone.
  if (stream_.device.kind != DeviceKind::meta) require_same_batch(mesh_->group(Group::tp), batch);
  return own_batch_ = divided(batch, split_);
}

StepReport Trainer::step(const StepBatch& replica_batch, double learning_rate,
                         const std::function<void()>& before_update) {
  StepReport report;
  BK_ASSERT(!replica_batch.microbatches.empty(), "a step without microbatches");
  const StepBatch& batch = own_share(replica_batch);
  // 1. Count the targets of the batch over all replicas. The weight of every loss is divided by this number.
  const Normalizers normalizers = count_targets(mesh_->group(Group::batch), batch, depth_weights_.size());
  // 2. Fetch the rows that all microbatches look up in the Engram tables.
  table_rows_.fetch(stream_, step_arena_, batch, split_.divides());
  // 3. Set gradients and counters to zero.
  model_->parameters->begin_step(stream_);
  // 4. Forward and backward of each microbatch; the last one starts the sums over the replicas.
  run_microbatches(batch, normalizers);
  // 5. Return the gradients of the table rows to their owners, wait for the sums of the other gradients, and sum the
  //    counters.
  reduce_gradients(batch);
  // 6. Read what the update depends on, then what is only reported. If a value is not finite, go over the step again to
  //    find where it began.
  read_decisions(report);
  read_loads_and_gain(report);
  if (report.skip_reason == SkipReason::nonfinite) find_nonfinite_place(batch, normalizers, report);
  // 7. Let the caller finish with the old weights: a checkpoint may still be copying them.
  if (before_update) before_update();
  // 8. Update the weights, unless the step is skipped.
  decide(report);
  const double max_norm = options_.optimizer.clip_norm;
  const bool clip = max_norm > 0 && report.grad_norm > max_norm;
  if (!report.skipped) update(learning_rate, clip ? max_norm / report.grad_norm : 1.0);
  ++steps_;  // also for a skipped step: its data is consumed
  return report;
}

std::function<BatchView(Arena&, size_t)> Trainer::batch_uploader(const StepBatch& batch,
                                                                 const Normalizers& normalizers) {
  return [&](Arena& memory, size_t microbatch) {
    BatchView view = upload(stream_, memory, batch.microbatches[microbatch], normalizers, depth_weights_, split_);
    view.engram_rows = table_rows_.rows();
    view.engram_row_gradients = table_rows_.gradients();
    return view;
  };
}

void Trainer::run_microbatches(const StepBatch& batch, const Normalizers& normalizers) {
  const Program program = sequential_program(runner_.num_chunks(), static_cast<int>(batch.microbatches.size()));
  gain_.clear();
  runner_.run({.program = &program,
               .batch = batch_uploader(batch, normalizers),
               .instrument = measures_gain_ ? &gain_ : instrument_,
               .on_unit_done = [&](int unit) { model_->parameters->start_reduce(stream_, unit); }});
}

void Trainer::reduce_gradients(const StepBatch& batch) {
  table_rows_.return_gradients(stream_, batch);
  model_->parameters->wait_reduced(stream_);
  // Start all of them before the first wait, since a counter is only a few numbers and latency dominates.
  std::vector<Communicator::Pending> pending;
  for (StepCounter* c : model_->parameters->counters()) {
    if (BK_DEFECT("loads of the rank") && c->kind == StepCounter::Kind::load) continue;
    if (BK_DEFECT("losses of the rank") && c->kind != StepCounter::Kind::load) continue;
    pending.push_back(mesh_->group(Group::stage).all_reduce(stream_, c->value));
  }
  for (auto& p : pending) p->wait(stream_);
  if (!BK_DEFECT("D12 loads counted by every rank")) return;
  for (const ParameterStore::Router& router : model_->parameters->routers()) {
    mesh_->group(Group::tp).all_reduce(stream_, router.load->value)->wait(stream_);
  }
}

void Trainer::decide(StepReport& report) {
  if (report.skip_reason == SkipReason::none && spike_.is_spike(report.loss)) report.skip_reason = SkipReason::spike;
  report.skipped = report.skip_reason == SkipReason::nonfinite ||
                   (report.skip_reason == SkipReason::spike && options_.optimizer.spike.skip);
}

void Trainer::update(double learning_rate, double grad_scale) {
  ++updates_;  // skipped steps do not count in AdamW's bias correction
  const UpdateStep u{learning_rate, grad_scale, updates_};
  dense_->step(stream_, u);  // changes only what this rank owns
  model_->parameters->publish(stream_);
  for (auto& table : tables_) table->step(stream_, u);
  const double speed = model_->decoder->options().moe.bias_update_speed;
  if (speed == 0) return;
  for (const ParameterStore::Router& router : model_->parameters->routers()) {
    router_bias_update(stream_, {router.bias->value, router.load->value, speed});
  }
}

void Trainer::update_only(double learning_rate, double grad_scale) {
  update(learning_rate, grad_scale);
  ++steps_;
}

Trainer::Evaluation Trainer::evaluate(const StepBatch& replica_batch) {
  const StepBatch& batch = own_share(replica_batch);
  table_rows_.fetch(stream_, step_arena_, batch, split_.divides());
  fill_zero(stream_, model_->decoder->loss_counter().value);
  // Normalizers of 1 leave the losses undivided; the caller divides their sum by the number of tokens.
  const Normalizers ones{std::vector<double>(depth_weights_.size(), 1.0), 1};
  const Program program = forward_program(runner_.num_chunks(), static_cast<int>(batch.microbatches.size()));
  runner_.run({.program = &program,
               .batch = batch_uploader(batch, ones),
               .mode = Frame::Mode::evaluation,
               .instrument = instrument_});
  // Each rank of a tensor-parallel group has added the losses of its own tokens.
  const Tensor losses = model_->decoder->loss_counter().value;
  if (split_.divides()) mesh_->group(Group::tp).all_reduce(stream_, losses)->wait(stream_);
  int64_t targets = batch.local_targets.at(0);
  if (BK_DEFECT("D30 evaluation counts padding")) {
    for (const Batch& b : batch.microbatches) targets += std::count(b.token_mask.begin(), b.token_mask.end(), 0);
  }
  return {read_values(stream_, losses)[0], static_cast<double>(targets)};
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
