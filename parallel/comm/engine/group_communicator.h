#pragma once
#include <memory>
#include <string>

#include "parallel/comm/engine/collective_queue.h"

namespace birkhoff {

// The common part of the backends: collectives go to a queue with the backend's carrier, messages to the backend
// itself.
class GroupCommunicator : public Communicator {
 public:
  int rank() const final { return rank_; }
  int size() const final { return size_; }
  int local_rank() const final { return local_rank_; }
  int local_size() const final { return local_size_; }
  const std::string& name() const final { return names().group; }
  int world_rank(int rank) const final { return names().world_ranks[static_cast<size_t>(rank)]; }
  void progress() final { engine_->poll(); }
  Wait waiting_for() const final { return queue_->waiting_for(); }
  Pending start(Operation operation) final;

 protected:
  GroupCommunicator(std::shared_ptr<Engine> engine, std::unique_ptr<Carrier> carrier);

  virtual Pending start_message(const Operation& operation) = 0;

  void set_local(int rank, int size) { local_rank_ = rank, local_size_ = size; }
  const std::shared_ptr<Engine>& engine() const { return engine_; }
  CollectiveQueue& queue() const { return *queue_; }
  const GroupNames& names() const { return queue_->names(); }

 private:
  int rank_, size_;
  int local_rank_ = 0, local_size_ = 1;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<CollectiveQueue> queue_;
};

// Work that is already over: operations of the meta device.
class FinishedWork final : public Work {
 public:
  void wait(Stream&) override {}
  bool done() override { return true; }
};

}  // namespace birkhoff
