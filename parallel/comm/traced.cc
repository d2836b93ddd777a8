#include "parallel/comm/traced.h"

#include <array>
#include <string_view>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "parallel/comm/forwarding.h"

namespace birkhoff {
namespace {

std::string_view name_of_state(int state) {
  constexpr std::array<std::string_view, 4> kNames{"started", "waiting", "done", "failed"};
  return kNames[static_cast<size_t>(state)];
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

class Trace::TracedWork final : public Work {
 public:
  TracedWork(Trace& trace, std::shared_ptr<Record> record, Communicator::Pending inner)
      : trace_(trace), record_(std::move(record)), inner_(std::move(inner)) {}
  void wait(Stream& stream) override {
    trace_.set(record_, State::waiting);
    const auto begin = std::chrono::steady_clock::now();
    watched([&] { return inner_->wait(stream), true; });
    trace_.add_wait(*record_, begin);
  }
  bool done() override {
    return watched([&] { return inner_->done(); });
  }

 private:
  template <class Step>
  bool watched(Step step) {
    try {
      const bool over = step();
      if (over) trace_.set(record_, State::done);
      return over;
    } catch (...) {
      trace_.set(record_, State::failed);
      throw;
    }
  }

  Trace& trace_;
  std::shared_ptr<Record> record_;
  Communicator::Pending inner_;
};

std::shared_ptr<Trace::Record> Trace::add(const Communicator& group, const Operation& o) {
  const std::lock_guard lock(mutex_);
  const std::string where = o.where.line() == 0 ? "" : concat(o.where.file_name(), ':', o.where.line());
  std::vector<int> others;
  if (o.op == Op::send || o.op == Op::recv) others.push_back(o.world_peer);
  auto record = std::make_shared<Record>(
      Record{recorded_++, group.name(), concat(o), where, o.bytes(), others, std::chrono::steady_clock::now()});
  records_.push_back(record);
  sent_bytes_[record->group] += o.count_sent(group.rank(), group.size()) * static_cast<int64_t>(size_of(o.dtype()));
  if (records_.size() > kCapacity) records_.pop_front();
  return record;
}

void Trace::set(const std::shared_ptr<Record>& record, State state) {
  const std::lock_guard lock(mutex_);
  record->state = state;
  std::erase(waiting_, record);
  if (state == State::waiting) waiting_.push_back(record);
}

void Trace::add_wait(const Record& record, std::chrono::steady_clock::time_point begin) {
  const std::lock_guard lock(mutex_);
  waited_s_[record.group] += seconds_since(begin);
}

std::map<std::string, double> Trace::waited_s() const {
  const std::lock_guard lock(mutex_);
  return waited_s_;
}

std::map<std::string, int64_t> Trace::sent_bytes() const {
  const std::lock_guard lock(mutex_);
  return sent_bytes_;
}

void Trace::watch(const Communicator* group) {
  const std::lock_guard lock(mutex_);
  groups_.push_back(group);
}
void Trace::unwatch(const Communicator* group) {
  const std::lock_guard lock(mutex_);
  std::erase(groups_, group);
}

std::string Trace::to_json() const {
  const std::lock_guard lock(mutex_);
  auto out = nlohmann::json::array();
  for (const auto& r : records_) {
    out.push_back({{"sequence", r->sequence},
                   {"group", r->group},
                   {"operation", r->operation},
                   {"bytes", r->bytes},
                   {"where", r->where},
                   {"age_s", seconds_since(r->begin)},
                   {"state", name_of_state(static_cast<int>(r->state))}});
  }
  return out.dump(1);
}

std::string Trace::describe(const Record& r) { return concat(r.operation, " of group ", r.group, " (", r.where, ")"); }

// A rank that computes may have operations pending, but waits only in those that its thread has asked for. A group
// finishes its operations in order, so such a wait is one for the first pending operation of its group.
Waiting Trace::waiting_for() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Wait> awaited;  // the operation in which the rank waits, by group
  Waiting all;
  const auto add = [&](const std::string& text) { all.text += concat(all.text.empty() ? "" : "; ", text); };
  for (const auto& r : waiting_) {
    add(concat("it has waited ", static_cast<int64_t>(seconds_since(r->begin)), " s in ", describe(*r)));
    awaited[r->group] = {describe(*r), r->others};
  }
  for (const Communicator* group : groups_) {
    const Wait wait = group->waiting_for();
    if (wait.text.empty()) continue;
    add(concat("pending is ", wait.text));
    if (awaited.erase(group->name()) > 0) all.waits.push_back(wait);
  }
  for (const auto& [group, wait] : awaited) all.waits.push_back(wait);
  if (all.text.empty()) all.text = "it waits in no operation: the cause is in its own work";
  return all;
}

class TracedCommunicator final : public ForwardingCommunicator {
 public:
  TracedCommunicator(Inner inner, Trace& trace) : ForwardingCommunicator(std::move(inner)), trace_(trace) {
    trace_.watch(&this->inner());
  }
  ~TracedCommunicator() override { trace_.unwatch(&inner()); }

  Pending start(Operation operation) override {
    auto record = trace_.add(inner(), operation);
    try {
      auto work = inner().start(std::move(operation));
      return std::make_unique<Trace::TracedWork>(trace_, std::move(record), std::move(work));
    } catch (...) {
      trace_.set(record, Trace::State::failed);
      throw;
    }
  }
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    const auto record = trace_.add(inner(), {.op = Op::split});
    trace_.set(record, Trace::State::waiting);
    try {
      auto part = inner().split(color, key, name);
      trace_.set(record, Trace::State::done);
      return std::make_unique<TracedCommunicator>(std::move(part), trace_);
    } catch (...) {
      trace_.set(record, Trace::State::failed);
      throw;
    }
  }

 private:
  Trace& trace_;
};

std::unique_ptr<Communicator> make_traced(Communicator& inner, Trace& trace) {
  return std::make_unique<TracedCommunicator>(inner, trace);
}

}  // namespace birkhoff
