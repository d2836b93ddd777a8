#include "trainer/checkpoint/writer.h"

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "kernels/core/arena.h"
#include "kernels/core/copy.h"
#include "kernels/core/cpu/parallel.h"
#include "parallel/comm/agree.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/save.h"

namespace birkhoff {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

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
    join();
    snapshot_ = collect(state, group_->rank(), group_->size());
    snapshot_.manifest.step = step;
    attachments_ = std::move(attachments);
    report_ = {};
    report_.step = step;
    copied_ = false;
    thread_ = std::thread([this] { run(); });
    if (!options_.async) thread_.join();
    report_.blocked_s += now_s() - started;
  }

  void wait_copied() {
    const double started = now_s();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return copied_; });
    report_.blocked_s += now_s() - started;
  }

  std::optional<SaveReport> poll() {
    {
      const std::lock_guard lock(mutex_);
      if (!finished_) return std::nullopt;
    }
    join();
    finished_ = false;
    return report_;
  }

  std::optional<SaveReport> finish() {
    join();
    return poll();
  }

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  // On the writer's thread. Its OpenMP team is one thread, so that it does not take cores from the step.
  void run() {
    set_num_threads(1);
    const double started = now_s();
    std::string failure;
    try {
      copy_pieces();
    } catch (const std::exception& e) {
      failure = e.what();
    }
    {
      const std::lock_guard lock(mutex_);
      copied_ = true;
    }
    changed_.notify_all();
    const double copied = now_s();
    if (failure.empty()) failure = save();
    const std::lock_guard lock(mutex_);
    report_.copy_s = copied - started;
    report_.write_s = now_s() - copied;
    report_.saved = failure.empty();
    report_.error = failure;
    finished_ = true;
  }

  // The arena keeps its memory from save to save, so it is reserved once.
  void copy_pieces() {
    Stream stream{device_};
    staging_.reset();
    report_.bytes = 0;
    for (Piece& piece : snapshot_.pieces) {
      const Tensor host = staging_.take(piece.data.dtype, piece.data.shape);
      if (host.count() > 0) to_host(stream, host.data, piece.data);
      piece.data = host;
      report_.bytes += static_cast<int64_t>(host.bytes());
    }
  }

  // Every phase is agreed, so that a rank whose disk is full stops the others from publishing.
  std::string save() noexcept {
    const std::filesystem::path unfinished = options_.directory / unfinished_name(report_.step);
    std::string failure;
    try {
      const bool first = group_->rank() == 0;
      agree(*group_, [&] {
        if (first) begin_folder(unfinished);
      });
      agree(*group_, [&] { write_own(unfinished, group_->rank(), snapshot_); });
      agree(*group_, [&] {
        if (first) publish(options_.directory, report_.step, group_->size(), attachments_);
      });
      if (first) prune(options_.directory, options_.keep);
    } catch (const std::exception& e) {
      failure = e.what();
    }
    if (!failure.empty() && group_->rank() == 0) {
      std::error_code ignored;
      std::filesystem::remove_all(unfinished, ignored);
    }
    return failure;
  }

  CheckpointOptions options_;
  Device device_;
  std::unique_ptr<Communicator> group_;
  Arena staging_;
  Snapshot snapshot_;
  Attachments attachments_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool copied_ = true, finished_ = false;
  SaveReport report_;
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
