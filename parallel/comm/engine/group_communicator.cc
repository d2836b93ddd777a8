#include "parallel/comm/engine/group_communicator.h"

namespace birkhoff {

GroupCommunicator::GroupCommunicator(std::shared_ptr<Engine> engine, std::unique_ptr<Carrier> carrier)
    : rank_(carrier->rank()),
      size_(carrier->size()),
      engine_(std::move(engine)),
      queue_(std::make_shared<CollectiveQueue>(engine_, std::move(carrier))) {}

Communicator::Pending GroupCommunicator::start(Operation operation) {
  const auto has_no_data = [](const Tensor& t) { return t.count() > 0 && t.data == nullptr; };
  if (has_no_data(operation.in) || has_no_data(operation.out)) return std::make_unique<FinishedWork>();
  if (operation.op == Op::send || operation.op == Op::recv) return start_message(operation);
  return queue_->start(std::move(operation));
}

}  // namespace birkhoff
