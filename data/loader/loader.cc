#include "data/loader/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "data/loader/engram_addresses.h"
#include "data/loader/step_builder.h"
#include "kernels/core/error.h"
#include "kernels/core/thread.h"

namespace birkhoff {
namespace {

using Clock = std::chrono::steady_clock;

const LoaderOptions& checked(const LoaderOptions& options) {
  BK_CHECK(options.num_replicas > 0 && options.replica >= 0 && options.replica < options.num_replicas, "replica ",
           options.replica, " of ", options.num_replicas, " does not exist");
  BK_CHECK(options.mtp_depth >= 0, "the depth of multi-token prediction is ", options.mtp_depth);
  BK_CHECK(!options.engram || options.engram->vocab_size() >= options.vocab_size, "the token compression covers ",
           options.engram ? options.engram->vocab_size() : 0, " ids, the vocabulary has ", options.vocab_size);
  return options;
}

// Older programs derived an empty name from "data/", and "." from "data/.". The order of the samples depends on the
// name, so a run that began with such a name keeps it.
LoaderOptions with_legacy_names(LoaderOptions options, const std::optional<Cursor>& resume) {
  if (!resume || resume->sources.size() != options.sources.size()) return options;
  for (size_t i = 0; i < options.sources.size(); ++i) {
    SourceOptions& source = options.sources[i];
    for (const char* old : {"", ".", ".."}) {
      if (source.name == source_name(source.directory) && resume->sources[i].key == cursor_key(old)) source.name = old;
    }
  }
  return options;
}

constexpr char kOldCursor[] =
    "the checkpoint is of an older program, whose data cursor does not tell which documents the run read: since seed, "
    "mixture and counts are equal, the documents are taken for the same";

}  // namespace

std::string source_name(const std::filesystem::path& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  const std::filesystem::path last = whole.has_filename() ? whole.filename() : whole.parent_path().filename();
  return last.empty() ? whole.string() : last.string();
}

// The thread builds steps of shape_, starting at ahead_, and keeps at most prefetch_steps of them in the queue. A
// change of shape starts a new generation: a step that the thread is still building for the old one is discarded.
class Loader::Impl {
 public:
  Impl(const LoaderOptions& options, const std::optional<Cursor>& resume)
      : depth_(static_cast<size_t>(std::max(0, options.prefetch_steps))),
        builder_(checked(with_legacy_names(options, resume))) {
    Sources& sources = builder_.sources();
    delivered_ = resume ? sources.resume(*resume, options.mixture_change) : sources.begin();
    if (resume && resume->content_digest == 0) notice_ = kOldCursor;
  }

  ~Impl() {
    {
      // Set under the lock, so that the thread cannot miss the notification between its check and its wait.
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  StepBatch next(const StepShape& shape) {
    builder_.check(shape);
    const auto begin = Clock::now();
    StepBatch step = depth_ == 0 ? builder_.build(shape, delivered_) : take(shape);
    wait_s_ += std::chrono::duration<double>(Clock::now() - begin).count();
    delivered_ = step.cursor;
    return step;
  }

  const Cursor& cursor() const { return delivered_; }
  const std::string& notice() const { return notice_; }
  double wait_s() const { return wait_s_; }

 private:
  StepBatch take(const StepShape& shape) {
    std::unique_lock lock(mutex_);
    if (!(shape == shape_)) {
      shape_ = shape;
      // Steps of the old shape that were prepared but not delivered are built again in the new shape.
      ahead_ = delivered_;
      queue_.clear();
      error_ = nullptr;
      ++generation_;
    }
    // The thread starts with the first step, because the shape is not known before.
    if (!thread_.joinable()) thread_ = start_thread("reads the data", [this] { work(); });
    changed_.notify_all();
    changed_.wait(lock, [&] { return !queue_.empty() || error_; });
    // Steps that were finished before the error are delivered first. The error stays set, so later calls of the same
    // shape throw it again.
    if (queue_.empty()) std::rethrow_exception(error_);
    StepBatch step = std::move(queue_.front());
    queue_.pop_front();
    changed_.notify_all();
    return step;
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stop_ || (queue_.size() < depth_ && !error_); });
      if (stop_) return;
      const StepShape shape = shape_;
      const Cursor from = ahead_;
      const int64_t generation = generation_;
      // Build without the lock: reading data takes long, and take() needs the lock to hand out finished steps.
      lock.unlock();
      std::optional<StepBatch> step;
      std::exception_ptr error;
      try {
        step = builder_.build(shape, from);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      // The shape changed meanwhile, so neither the step nor the error counts.
      if (generation != generation_) continue;
      if (error) {
        error_ = error;
      } else {
        ahead_ = step->cursor;
        queue_.push_back(std::move(*step));
      }
      changed_.notify_all();
    }
  }

  size_t depth_;
  StepBuilder builder_;  // used only by the thread once it runs, except for check(), which is const
  Cursor delivered_;
  std::string notice_;
  double wait_s_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<StepBatch> queue_;
  StepShape shape_;
  Cursor ahead_;
  std::exception_ptr error_;
  int64_t generation_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

Loader::Loader(const LoaderOptions& options, const std::optional<Cursor>& resume)
    : impl_(std::make_unique<Impl>(options, resume)) {}
Loader::~Loader() = default;
StepBatch Loader::next(const StepShape& shape) { return impl_->next(shape); }
const Cursor& Loader::cursor() const { return impl_->cursor(); }
const std::string& Loader::notice() const { return impl_->notice(); }
double Loader::wait_s() const { return impl_->wait_s(); }

}  // namespace birkhoff
