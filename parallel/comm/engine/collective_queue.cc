#include "parallel/comm/engine/collective_queue.h"

#include "kernels/core/error.h"

namespace birkhoff {

struct CollectiveQueue::Entry {
  Operation operation;
  uint64_t sequence;
  std::unique_ptr<RunningCollective> collective;
  bool over = false;
};

class CollectiveQueue::QueueWork final : public Work {
 public:
  QueueWork(std::shared_ptr<CollectiveQueue> queue, std::shared_ptr<Entry> entry)
      : queue_(std::move(queue)), entry_(std::move(entry)) {}
  ~QueueWork() override {
    const std::lock_guard lock(queue_->engine_->mutex());
    if (entry_->over) return;
    // The rank unwinds and its buffers go away, so the peers cannot finish this operation.
    queue_->fail_locked(concat("rank ", queue_->own_world_rank(), " left while its ", entry_->operation, " in group ",
                               queue_->names().group, " was pending"));
  }
  bool done() override {
    queue_->engine_->poll();
    const std::lock_guard lock(queue_->engine_->mutex());
    if (!entry_->over && !queue_->failure_.empty()) throw CommError(queue_->failure_);
    return entry_->over;
  }
  void wait(Stream&) override {
    for (Backoff backoff; !done();) backoff.pause();
  }

 private:
  std::shared_ptr<CollectiveQueue> queue_;
  std::shared_ptr<Entry> entry_;
};

CollectiveQueue::CollectiveQueue(std::shared_ptr<Engine> engine, std::unique_ptr<Carrier> carrier)
    : engine_(std::move(engine)), carrier_(std::move(carrier)) {
  const std::lock_guard lock(engine_->mutex());
  engine_->add(*this);
}

CollectiveQueue::~CollectiveQueue() {
  const std::lock_guard lock(engine_->mutex());
  engine_->remove(*this);
}

Communicator::Pending CollectiveQueue::start(Operation operation) {
  const std::lock_guard lock(engine_->mutex());
  if (!failure_.empty()) throw CommError(failure_);
  auto entry = std::make_shared<Entry>(Entry{operation, started_, carrier_->begin(operation, started_)});
  ++started_;
  pending_.push_back(entry);
  poll();
  return std::make_unique<QueueWork>(shared_from_this(), std::move(entry));
}

void CollectiveQueue::poll() noexcept {
  try {
    while (!pending_.empty() && failure_.empty() && pending_.front()->collective->advance()) {
      pending_.front()->over = true;
      pending_.pop_front();
    }
  } catch (const std::exception& e) {
    fail_locked(e.what());
  }
}

namespace {

// "1, 2"
std::string listed(const std::vector<int>& ranks) {
  std::string text;
  for (const int r : ranks) text += concat(text.empty() ? "" : ", ", r);
  return text;
}

}  // namespace

Wait CollectiveQueue::waiting_for() const {
  // This is called when something hangs, perhaps with the mutex held, so it must not wait for the mutex forever. A
  // thread that waits in MPI holds the mutex most of the time, and on a busy machine releases it only for moments.
  constexpr int kTries = 5000;
  constexpr std::chrono::microseconds kBetween(100);
  std::unique_lock lock(engine_->mutex(), std::defer_lock);
  for (int i = 0; i < kTries && !lock.try_lock(); ++i) std::this_thread::sleep_for(kBetween);
  if (!lock.owns_lock()) return {concat("a call of group ", names().group, " that does not return"), {}};
  if (pending_.empty()) return {};
  const Entry& head = *pending_.front();
  const std::string text = concat("operation ", head.sequence, " of group ", names().group, ", ", head.operation);
  if (const auto missing = head.collective->missing(); !missing.empty())
    return {concat(text, ", missing rank ", listed(missing)), missing};
  const auto reading = head.collective->reading();
  return {concat(text, ", which all ranks have joined",
                 reading.empty() ? "" : concat(" and rank ", listed(reading), " has not finished")),
          reading};
}

void CollectiveQueue::fail(const std::string& why) noexcept {
  const std::lock_guard lock(engine_->mutex());
  fail_locked(why);
}

void CollectiveQueue::fail_locked(const std::string& why) noexcept {
  if (failure_.empty()) failure_ = why;
  carrier_->fail(why);  // returns when no peer reads our buffers any more, so that their owners may free them
  pending_.clear();
}

}  // namespace birkhoff
