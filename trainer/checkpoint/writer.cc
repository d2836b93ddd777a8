#include "trainer/checkpoint/writer.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "kernels/core/arena.h"
#include "kernels/core/clock.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/core/thread.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/agree.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/rank_layout.h"
#include "trainer/checkpoint/save.h"

namespace birkhoff {
namespace {

// Runs `body` and returns the message of what it threw, or an empty string.
std::string error_of(const std::function<void()>& body) noexcept {
  try {
    body();
    return {};
  } catch (const std::exception& e) {
    return *e.what() != 0 ? e.what() : "unknown error";
  } catch (...) {
    return "unknown error";
  }
}

}  // namespace

class CheckpointWriter::Impl {
 public:
  Impl(Communicator& replicas, Device device, CheckpointOptions options)
      : options_(std::move(options)),
        device_(device),
        group_(replicas.split(0, replicas.rank(), "checkpoint")),
        staging_(Device{device.kind == DeviceKind::reference ? DeviceKind::reference : DeviceKind::cpu}) {}

  ~Impl() {
    if (thread_.joinable()) thread_.join();
  }

  void begin(int64_t step, const State& state, Attachments attachments) {
    const double started = now_s();
    collect_report();
    // collect_report() has waited for the previous save, which used the snapshot and the staging memory. The new
    // snapshot holds only names and views; the thread copies the data.
    snapshot_ = collect(state);
    snapshot_.manifest.step = step;
    attachments_ = std::move(attachments);
    copied_ = finished_ = false;
    if (!start(step)) run_here(step);
    if (!options_.async && thread_.joinable()) thread_.join();
    blocked_s_ = now_s() - started;
  }

  void wait_copied() {
    const double started = now_s();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return copied_; });
    blocked_s_ += now_s() - started;
  }

  std::optional<SaveReport> poll() {
    if (ended()) collect_report();
    if (reports_.empty()) return std::nullopt;
    SaveReport report = std::move(reports_.front());
    reports_.pop_front();
    return report;
  }

  std::optional<SaveReport> finish() {
    collect_report();
    return poll();
  }

 private:
  // Returns false if the system refuses a thread.
  bool start(int64_t step) {
    try {
      thread_ = start_thread("writes a checkpoint", [this, step] { run(step); });
      return true;
    } catch (const UserError&) {
      return false;
    }
  }

  // Saves on the training thread. Blocking training is better than losing the save or ending the run. run() reduces the
  // thread's OpenMP team to one thread, so restore it afterwards.
  void run_here(int64_t step) {
    const int threads = num_threads();
    run(step);
    set_num_threads(threads);
  }

  bool ended() {
    const std::lock_guard lock(mutex_);
    return finished_;
  }

  // Waits for the running save, if any, and keeps its report until poll() returns it.
  void collect_report() {
    if (thread_.joinable()) thread_.join();
    if (!std::exchange(finished_, false)) return;
    report_.blocked_s = blocked_s_;
    reports_.push_back(std::move(report_));
  }

  // Runs on the writer's thread. Its OpenMP team has one thread, so that it does not take cores from the training step.
  void run(int64_t step) noexcept {
    set_num_threads(1);
    SaveReport report;
    report.step = step;
    const double started = now_s();
    const std::string not_copied = error_of([&] { report.bytes = copy_pieces(); });
    {
      const std::lock_guard lock(mutex_);
      // Set this even if the copy failed, so that the training thread does not wait forever. save() reports the
      // failure.
      copied_ = true;
    }
    changed_.notify_all();
    report.copy_s = now_s() - started;
    report.error = error_of([&] { save(step, not_copied, report); });
    report.saved = report.error.empty();
    report.write_s = now_s() - started - report.copy_s;
    const std::lock_guard lock(mutex_);
    report_ = std::move(report);
    finished_ = true;
  }

  // Copies the pieces to host memory and points them there. The arena keeps its memory from save to save, so it is
  // allocated only once.
  int64_t copy_pieces() {
    Stream stream{device_};
    staging_.reset();
    int64_t bytes = 0;
    for (Piece& piece : snapshot_.pieces) {
      const Tensor host = staging_.take(piece.data.dtype, piece.data.shape);
      if (host.count() > 0) to_host(stream, host.data, piece.data);
      piece.data = host;
      bytes += static_cast<int64_t>(host.bytes());
    }
    return bytes;
  }

  // All ranks agree on the outcome of every phase, so that no checkpoint is published if one rank fails.
  void save(int64_t step, const std::string& not_copied, SaveReport& report) {
    const bool is_root = group_->rank() == 0;
    const std::filesystem::path unfinished = options_.directory / unfinished_name(step);
    try {
      agree(*group_, [&] {
        if (!not_copied.empty()) throw DataError("the state cannot be copied: " + not_copied);
        if (is_root) begin_folder(unfinished);
      });
      Manifest own = write_finite(unfinished, report);
      agree(*group_, [&] {
        if (is_root) publish(options_.directory, step, group_->size(), std::move(own), attachments_);
      });
    } catch (...) {
      std::error_code ignored;
      if (is_root) std::filesystem::remove_all(unfinished, ignored);
      throw;
    }
    // The checkpoint is published, so the save succeeds even if older ones cannot be removed; the next save tries
    // again.
    if (is_root) error_of([&] { prune(options_.directory, options_.keep, step); });
  }

  // Returns the record of what this rank wrote. Only the rank that writes a value sees that it is not finite, so the
  // ranks exchange their findings and all throw that of the lowest rank.
  Manifest write_finite(const std::filesystem::path& folder, SaveReport& report) {
    Manifest own;
    std::string found;
    agree(*group_, [&] {
      try {
        own = write_own(folder, group_->rank(), snapshot_, layout_);
      } catch (const NonfiniteState& e) {
        found = e.what();
      }
    });
    const std::vector<std::string> all = gather_texts(*group_, found);
    const auto first = std::find_if(all.begin(), all.end(), [](const std::string& text) { return !text.empty(); });
    if (first == all.end()) return own;
    report.finite = false;
    throw NonfiniteState(*first);
  }

  CheckpointOptions options_;
  Device device_;
  std::unique_ptr<Communicator> group_;
  Arena staging_;
  Snapshot snapshot_;
  RankLayout layout_;
  Attachments attachments_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Shared with the writer's thread; guarded by mutex_ while that thread runs.
  bool copied_ = true, finished_ = false;
  SaveReport report_;
  // Used by the training thread only.
  double blocked_s_ = 0;
  std::deque<SaveReport> reports_;
};

CheckpointWriter::CheckpointWriter(Communicator& replicas, Device device, CheckpointOptions options)
    : impl_(std::make_unique<Impl>(replicas, device, std::move(options))) {}
CheckpointWriter::~CheckpointWriter() = default;

void CheckpointWriter::begin(int64_t step, const State& state, Attachments attachments) {
  impl_->begin(step, state, std::move(attachments));
}
void CheckpointWriter::wait_copied() { impl_->wait_copied(); }
std::optional<SaveReport> CheckpointWriter::poll() { return impl_->poll(); }
std::optional<SaveReport> CheckpointWriter::finish() { return impl_->finish(); }

}  // namespace birkhoff
