#include "trainer/bench/comm_meter.h"

#include <set>

#include "parallel/comm/forwarding.h"
#include "trainer/bench/timing.h"

namespace birkhoff {
namespace {

// The operations of one rank that nobody has waited for yet.
class MeteredWork;
using Unwaited = std::set<MeteredWork*>;

class MeteredWork final : public Work {
 public:
  MeteredWork(CommMeter::Row& row, int64_t bytes, Unwaited& unwaited, Communicator::Pending inner)
      : row_(&row), bytes_(bytes), unwaited_(&unwaited), inner_(std::move(inner)) {
    unwaited_->insert(this);
  }
  ~MeteredWork() override { unwaited_->erase(this); }

  void wait(Stream& stream) override {
    const Stopwatch watch;
    if (unwaited_->contains(this)) count_finished();
    inner_->wait(stream);
    row_->wait_s += watch.seconds();
  }
  bool done() override { return inner_->done(); }

 private:
  // Counts the operations in flight that have finished before the first wait. The wait that follows makes progress on
  // all of them, so this could not be told later.
  void count_finished() {
    for (MeteredWork* work : *unwaited_) {
      if (work->inner_->done()) work->row_->over_before_wait += work->bytes_;
    }
    unwaited_->clear();
  }

  CommMeter::Row* row_;
  int64_t bytes_;
  Unwaited* unwaited_;
  Communicator::Pending inner_;
};

class MeteredCommunicator final : public ForwardingCommunicator {
 public:
  MeteredCommunicator(Inner inner, CommMeter& meter, std::shared_ptr<Unwaited> unwaited)
      : ForwardingCommunicator(std::move(inner)), meter_(meter), unwaited_(std::move(unwaited)) {}

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    std::unique_ptr<Communicator> part = inner().split(color, key, name);
    if (part->size() == 1) return part;
    return std::make_unique<MeteredCommunicator>(std::move(part), meter_, unwaited_);
  }

  void progress() override {
    meter_.progress_s += seconds_of([&] { inner().progress(); });
    ++meter_.progress_calls;
  }

  Pending start(Operation operation) override {
    CommMeter::Row& row = meter_.rows[{name(), std::string(name_of(operation.op))}];
    const int64_t bytes = operation.bytes();
    ++row.calls;
    row.bytes += bytes;
    const Stopwatch watch;
    Pending work = inner().start(std::move(operation));
    row.start_s += watch.seconds();
    return std::make_unique<MeteredWork>(row, bytes, *unwaited_, std::move(work));
  }

 private:
  CommMeter& meter_;
  // Shared by all groups split from one communicator, since a wait in one group makes progress on the operations of
  // all.
  std::shared_ptr<Unwaited> unwaited_;
};

}  // namespace

std::unique_ptr<Communicator> make_metered(Communicator& inner, CommMeter& meter) {
  return std::make_unique<MeteredCommunicator>(inner, meter, std::make_shared<Unwaited>());
}

}  // namespace birkhoff
