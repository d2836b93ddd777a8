#include "trainer/bench/bench.h"

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <numeric>
#include <sstream>

#include <nlohmann/json.hpp>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "trainer/bench/profiler.h"
#include "trainer/loop/build.h"

namespace birkhoff {
namespace {

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[v.size() / 2];
}

// A model with its trainer on one device, fed with random tokens of its vocabulary.
class Subject {
 public:
  Subject(Communicator& self, const Config& config, Device device, OpObserver* observer = nullptr) : config_(config) {
    BK_CHECK(config.model.vocab_size > 0, "model.vocab_size is 0; a benchmark has no tokenizer: set it");
    const int64_t vocab = config.model.vocab_size;
    if (!config.model.engram.layers.empty()) {
      std::vector<int32_t> identity(static_cast<size_t>(vocab));
      std::iota(identity.begin(), identity.end(), 0);
      engram_ = std::make_shared<EngramAddresses>(engram_hash_spec(config, vocab, 0), identity);
    }
    const EngramHash* hash = engram_ ? &engram_->hash() : nullptr;
    Stream stream{device, nullptr, observer};
    model_ = std::make_unique<Model>(make_model(device, self, model_options(config, vocab, hash)));
    trainer_ = std::make_unique<Trainer>(stream, self, *model_, trainer_options(config, hash));
    model_->initialise(stream, static_cast<uint64_t>(config.run.seed));
  }

  double step_seconds() {
    const StepBatch batch = make_batch();
    const auto begin = std::chrono::steady_clock::now();
    trainer_->step(batch, 1e-4);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  int64_t parameters() const { return model_->parameters->num_parameters(); }
  int64_t tokens() const { return config_.batch.global_batch_size * config_.batch.sequence_length; }
  size_t bytes() const {
    return model_->parameters->bytes() + trainer_->optimizer().bytes() + trainer_->peak_activation_bytes();
  }

 private:
  StepBatch make_batch() {
    StepBatch step;
    const int64_t sequences = config_.batch.micro_batch_size, length = config_.batch.sequence_length;
    const int64_t microbatches = std::max<int64_t>(1, config_.batch.global_batch_size / sequences);
    const size_t depths = static_cast<size_t>(1 + config_.model.mtp.depth);
    step.local_targets.assign(depths, 0);
    for (int64_t m = 0; m < microbatches; ++m) {
      Batch b;
      b.num_sequences = sequences;
      b.sequence_length = length;
      for (int64_t t = 0; t < sequences * length; ++t) {
        b.tokens.push_back(
            static_cast<int32_t>(random_.below(next_++, static_cast<uint64_t>(config_.model.vocab_size))));
        b.positions.push_back(static_cast<int32_t>(t % length));
        b.document_start.push_back(static_cast<int32_t>(t / length * length));
      }
      b.targets.assign(depths, b.tokens);
      b.loss_weights.assign(b.tokens.size(), 1.0f);
      for (int64_t& count : step.local_targets) count += sequences * length;
      step.microbatches.push_back(std::move(b));
    }
    step.local_tokens = step.global_tokens = microbatches * sequences * length;
    if (engram_) engram_->fill(step);
    return step;
  }

  Config config_;
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
  Philox random_{1, 2};
  uint64_t next_ = 0;
};

int threads_of(const Config& c) { return c.run.threads > 0 ? static_cast<int>(c.run.threads) : num_threads(); }

}  // namespace

StepBench bench_step(Communicator& self, const Config& config, int64_t steps) {
  set_num_threads(threads_of(config));
  Subject subject(self, config, device_of(config));
  std::vector<double> times;
  for (int64_t i = 0; i < steps + 2; ++i) {
    const double s = subject.step_seconds();
    if (i >= 2) times.push_back(s);
  }
  StepBench out;
  out.seconds = median(times);
  out.tokens_per_second = static_cast<double>(subject.tokens()) / out.seconds;
  out.parameters = subject.parameters();
  out.measured_bytes = subject.bytes();
  Subject meta(self, config, Device{DeviceKind::meta});
  meta.step_seconds();
  out.predicted_bytes = meta.bytes();
  Profiler profiler;
  Subject profiled(self, config, device_of(config), &profiler);
  for (int i = 0; i < 3; ++i) profiled.step_seconds();
  for (const auto& [op, row] : profiler.rows()) out.ops.push_back({op, row.calls / 3, row.seconds / 3, row.flops / 3});
  std::sort(out.ops.begin(), out.ops.end(), [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
  out.flops = profiler.total_flops() / 3;
  return out;
}

double bench_ratio(Communicator& self, const Config& a, const Config& b, int64_t steps) {
  set_num_threads(threads_of(a));
  Subject first(self, a, device_of(a)), second(self, b, device_of(b));
  std::vector<double> ratios;
  for (int64_t i = 0; i < steps + 2; ++i) {
    const double s = first.step_seconds(), t = second.step_seconds();
    if (i >= 2) ratios.push_back(s / t);
  }
  return median(ratios);
}

std::string to_text(const StepBench& b) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << "parameters " << b.parameters << ", step " << b.seconds * 1e3 << " ms, " << b.tokens_per_second
      << " tokens/s, " << b.flops / b.seconds / 1e9 << " GFLOP/s\n";
  out << "memory: predicted " << static_cast<double>(b.predicted_bytes) / 1e6 << " MB, measured "
      << static_cast<double>(b.measured_bytes) / 1e6 << " MB\n";
  double total = 0;
  for (const OpTime& op : b.ops) total += op.seconds;
  for (const OpTime& op : b.ops) {
    out << std::setw(28) << op.op << std::setw(8) << op.calls << std::setw(10) << op.seconds * 1e3 << " ms"
        << std::setw(7) << 100 * op.seconds / total << " %";
    if (op.flops > 0) out << std::setw(9) << op.flops / op.seconds / 1e9 << " GFLOP/s";
    out << '\n';
  }
  return out.str();
}

std::string to_json(const StepBench& b) {
  nlohmann::json j{{"tokens_per_second", b.tokens_per_second},
                   {"step_duration_seconds", b.seconds},
                   {"flops", b.flops},
                   {"parameters", b.parameters},
                   {"predicted_bytes", b.predicted_bytes},
                   {"measured_bytes", b.measured_bytes}};
  for (const OpTime& op : b.ops) {
    j["ops"].push_back({{"op", op.op}, {"calls", op.calls}, {"seconds", op.seconds}, {"flops", op.flops}});
  }
  return j.dump();
}

}  // namespace birkhoff
