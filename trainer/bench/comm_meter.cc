#include "trainer/bench/comm_meter.h"

#include <set>

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

class MeteredCommunicator final : public Communicator {
 public:
  MeteredCommunicator(Communicator& inner, CommMeter& meter, std::shared_ptr<Unwaited> unwaited,
                      std::unique_ptr<Communicator> owned = nullptr)
      : inner_(inner), meter_(meter), unwaited_(std::move(unwaited)), owned_(std::move(owned)) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  int local_rank() const override { return inner_.local_rank(); }
  int local_size() const override { return inner_.local_size(); }
  const std::string& name() const override { return inner_.name(); }
  int world_rank(int rank) const override { return inner_.world_rank(rank); }
  Wait waiting_for() const override { return inner_.waiting_for(); }
  void abort(const std::string& why, int exit_code) noexcept override { inner_.abort(why, exit_code); }
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    std::unique_ptr<Communicator> part = inner_.split(color, key, name);
    if (part->size() == 1) return part;
    Communicator& group = *part;
    return std::make_unique<MeteredCommunicator>(group, meter_, unwaited_, std::move(part));
  }

  void progress() override {
    meter_.progress_s += seconds_of([&] { inner_.progress(); });
    ++meter_.progress_calls;
  }

  Pending start(Operation operation) override {
    CommMeter::Row& row = meter_.rows[{name(), std::string(name_of(operation.op))}];
    const int64_t bytes = operation.bytes();
    ++row.calls;
    row.bytes += bytes;
    const Stopwatch watch;
    Pending work = inner_.start(std::move(operation));
    row.start_s += watch.seconds();
    return std::make_unique<MeteredWork>(row, bytes, *unwaited_, std::move(work));
  }

 private:
  Communicator& inner_;
  CommMeter& meter_;
  // Shared by all groups split from one communicator, since a wait in one group makes progress on the operations of
  // all.
  std::shared_ptr<Unwaited> unwaited_;
  std::unique_ptr<Communicator> owned_;
};

}  // namespace

std::unique_ptr<Communicator> make_metered(Communicator& inner, CommMeter& meter) {
  return std::make_unique<MeteredCommunicator>(inner, meter, std::make_shared<Unwaited>());
}

}  // namespace birkhoff
