#pragma once
#include <deque>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/comm/engine/carrier.h"
#include "parallel/comm/engine/engine.h"

namespace birkhoff {

// The collectives of one group, executed in the order they were started, one at a time.
class CollectiveQueue final : public Pollable, public std::enable_shared_from_this<CollectiveQueue> {
 public:
  CollectiveQueue(std::shared_ptr<Engine> engine, std::unique_ptr<Carrier> carrier);
  ~CollectiveQueue() override;

  Communicator::Pending start(Operation operation);
  void poll() noexcept override;
  const GroupNames& names() const { return carrier_->names(); }
  // As Communicator::waiting_for.
  Wait waiting_for() const;
  bool failed() const { return !failure_.empty(); }
  // Fails the group: every pending and later operation, here and on the peers, throws CommError(why).
  void fail(const std::string& why) noexcept;

 private:
  struct Entry;
  class QueueWork;
  void fail_locked(const std::string& why) noexcept;
  int own_world_rank() const { return names().world_ranks[static_cast<size_t>(carrier_->rank())]; }

  std::shared_ptr<Engine> engine_;
  std::unique_ptr<Carrier> carrier_;
  uint64_t started_ = 0;
  std::deque<std::shared_ptr<Entry>> pending_;
  std::string failure_;
};

}  // namespace birkhoff
