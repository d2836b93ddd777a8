// The parts of Trainer that read the results of a step from the device once the gradients are complete.
#include "kernels/elementwise/copy.h"
#include "trainer/step/nonfinite.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

void Trainer::read_decisions(StepReport& report) {
  const ArenaScope scope(step_arena_);
  // Reads everything in one transfer, since the update waits for it.
  std::vector<Tensor> numbers;
  for (const StepCounter* c : model_->parameters->counters()) {
    if (c->kind != StepCounter::Kind::load) numbers.push_back(c->value);
  }
  numbers.push_back(sums_of_squares(stream_, step_arena_, *mesh_, *model_));
  const auto values = read_together(stream_, step_arena_, numbers);
  report_losses(Numbers(values).first(values.size() - 1), *model_->parameters, depth_weights_, report);
  read_sums(values.back(), sums_);
  report.grad_norm = norm_of(sums_);
  const TensorSum* bad = first_nonfinite(sums_, model_->parameters->entries().size());
  // A loss that is not finite has been reported already; it is nearer to the origin than any gradient.
  if (bad == nullptr || report.skip_reason != SkipReason::none) return;
  report.skip_reason = SkipReason::nonfinite;
  report.first_nonfinite = bad->what;
}

void Trainer::read_loads_and_gain(StepReport& report) {
  std::vector<Tensor> numbers;
  for (const ParameterStore::Router& router : model_->parameters->routers()) numbers.push_back(router.load->value);
  const size_t num_loads = numbers.size();
  numbers.insert(numbers.end(), gain_.tensors().begin(), gain_.tensors().end());
  const auto values = read_together(stream_, step_arena_, numbers);
  report_loads(Numbers(values).first(num_loads), report);
  report.gain = gain_.largest(Numbers(values).subspan(num_loads), mesh_->group(Group::tp), mesh_->world());
}

void Trainer::find_nonfinite_place(const StepBatch& batch, const Normalizers& normalizers, StepReport& report) {
  const std::string where = find_nonfinite({.stream = stream_,
                                            .world = &mesh_->world(),
                                            .model = model_,
                                            .runner = &runner_,
                                            .row_gradients = &table_rows_.gradients(),
                                            .num_microbatches = batch.microbatches.size(),
                                            .batch = batch_uploader(batch, normalizers)});
  if (!where.empty()) report.first_nonfinite = where;
}

}  // namespace birkhoff
