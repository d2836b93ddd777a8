#include "tests/support/delayed.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <mutex>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "parallel/comm/engine/backoff.h"
#include "parallel/comm/forwarding.h"

namespace birkhoff {
namespace {

// The longest delay in turns, of an operation that nobody waits for and of one that its rank waits for. One operation
// in four begins at its first turn, so that short and long delays mix.
constexpr uint64_t kMostTurns = 20000, kMostTurnsOfAWait = 50, kOneBeginsAtOnceIn = 4;

// An operation. It begins when its turns are used up and those before it in its group have begun.
struct Delayed {
  Operation operation;
  uint64_t turns;
  Communicator::Pending begun;
  std::exception_ptr failure;  // of its start
};

// The operations of one group that have not begun.
class DelayedGroup {
 public:
  DelayedGroup(Communicator& inner, uint64_t seed) : inner_(inner), random_(seed, key_of(inner.name())) {}

  std::shared_ptr<Delayed> add(Operation operation) {
    const auto i = 2 * (static_cast<uint64_t>(inner_.rank()) << 32) + 2 * added_++;
    const uint64_t turns = random_.below(i, kOneBeginsAtOnceIn) == 0 ? 1 : 1 + random_.below(i + 1, kMostTurns);
    delayed_.push_back(std::make_shared<Delayed>(Delayed{std::move(operation), turns, nullptr, nullptr}));
    return delayed_.back();
  }
  void take_turn() {
    if (!delayed_.empty() && --delayed_.front()->turns == 0) begin_first();
  }
  // Shortens the delays of the operations up to this one.
  void hurry(const Delayed& until) {
    for (const auto& d : delayed_) {
      d->turns = 1 + d->turns % kMostTurnsOfAWait;
      if (d.get() == &until) return;
    }
  }
  void begin_all() {
    while (!delayed_.empty()) begin_first();
  }
  std::string first() const { return delayed_.empty() ? "" : concat(delayed_.front()->operation); }

 private:
  void begin_first() {
    Delayed& first = *delayed_.front();
    try {
      first.begun = inner_.start(std::move(first.operation));
    } catch (...) {
      first.failure = std::current_exception();
    }
    delayed_.pop_front();
  }

  Communicator& inner_;
  Philox random_;
  uint64_t added_ = 0;
  std::deque<std::shared_ptr<Delayed>> delayed_;
};

// All groups of one rank. Whoever waits takes a turn in each of them, since a peer may need an operation of another
// group before it can take part in the one that is waited for.
class Delays {
 public:
  explicit Delays(uint64_t seed) : seed_(seed) {}
  std::shared_ptr<DelayedGroup> add(Communicator& inner) {
    const std::lock_guard lock(mutex_);
    groups_.push_back(std::make_shared<DelayedGroup>(inner, seed_));
    return groups_.back();
  }
  void remove(const std::shared_ptr<DelayedGroup>& group) {
    const std::lock_guard lock(mutex_);
    group->begin_all();
    std::erase(groups_, group);
  }
  std::shared_ptr<Delayed> start(DelayedGroup& group, Operation operation) {
    const std::lock_guard lock(mutex_);
    return group.add(std::move(operation));
  }
  void take_turn() {
    const std::lock_guard lock(mutex_);
    for (const auto& group : groups_) group->take_turn();
  }
  void hurry(DelayedGroup& group, const Delayed& until) {
    const std::lock_guard lock(mutex_);
    if (!until.begun && !until.failure) group.hurry(until);
  }
  void begin_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& group : groups_) group->begin_all();
  }
  void begin_all_if_delayed(const Delayed& operation) {
    const std::lock_guard lock(mutex_);
    if (operation.begun || operation.failure) return;
    for (const auto& group : groups_) group->begin_all();
  }
  // Whether the operation has begun; throws what its start threw.
  bool has_begun(const Delayed& operation) {
    const std::lock_guard lock(mutex_);
    if (operation.failure) std::rethrow_exception(operation.failure);
    return operation.begun != nullptr;
  }
  std::string first(const DelayedGroup& group) {
    const std::lock_guard lock(mutex_);
    return group.first();
  }

 private:
  uint64_t seed_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<DelayedGroup>> groups_;
};

class DelayedWork final : public Work {
 public:
  DelayedWork(std::shared_ptr<Delays> delays, std::shared_ptr<DelayedGroup> group, std::shared_ptr<Delayed> operation)
      : delays_(std::move(delays)), group_(std::move(group)), operation_(std::move(operation)) {}
  // If the operation is not over, its rank unwinds. It must begin all the same, because only an operation that has
  // begun fails the group when it is destroyed.
  ~DelayedWork() override { delays_->begin_all_if_delayed(*operation_); }
  bool done() override {
    delays_->take_turn();
    return delays_->has_begun(*operation_) && operation_->begun->done();
  }
  void wait(Stream& stream) override {
    delays_->hurry(*group_, *operation_);
    for (Backoff backoff; !done();) backoff.pause();
    operation_->begun->wait(stream);
  }

 private:
  std::shared_ptr<Delays> delays_;
  std::shared_ptr<DelayedGroup> group_;
  std::shared_ptr<Delayed> operation_;
};

class DelayedCommunicator final : public ForwardingCommunicator {
 public:
  DelayedCommunicator(Inner inner, std::shared_ptr<Delays> delays)
      : ForwardingCommunicator(std::move(inner)), delays_(std::move(delays)), group_(delays_->add(this->inner())) {}
  ~DelayedCommunicator() override { delays_->remove(group_); }

  void progress() override {
    delays_->take_turn();
    inner().progress();
  }
  // A split blocks in `inner`, where no turns are taken, so everything begins first.
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    delays_->begin_all();
    return std::make_unique<DelayedCommunicator>(inner().split(color, key, name), delays_);
  }
  Wait waiting_for() const override {
    const std::string first = delays_->first(*group_);
    return first.empty() ? inner().waiting_for() : Wait{concat(first, ", which is delayed"), {}};
  }
  Pending start(Operation operation) override {
    return std::make_unique<DelayedWork>(delays_, group_, delays_->start(*group_, std::move(operation)));
  }

 private:
  std::shared_ptr<Delays> delays_;
  std::shared_ptr<DelayedGroup> group_;
};

}  // namespace

std::unique_ptr<Communicator> make_delayed(Communicator& inner, uint64_t seed) {
  return std::make_unique<DelayedCommunicator>(inner, std::make_shared<Delays>(seed));
}

}  // namespace birkhoff
