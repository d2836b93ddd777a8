#include "parallel/comm/threads/mailbox.h"

#include <algorithm>
#include <cstring>

#include "kernels/core/error.h"
#include "parallel/comm/engine/engine.h"

namespace birkhoff {

class Mailbox::MailWork final : public Work {
 public:
  MailWork(std::shared_ptr<Mailbox> box, std::shared_ptr<Message> message, std::shared_ptr<Engine> engine)
      : box_(std::move(box)), message_(std::move(message)), engine_(std::move(engine)) {}
  // The owner may free the buffer after this, so no peer may find the message any more.
  ~MailWork() override {
    const std::lock_guard lock(box_->mutex_);
    box_->unmatched_.remove(message_);
  }
  bool done() override {
    engine_->poll();
    const std::lock_guard lock(box_->mutex_);
    if (!message_->failure.empty()) throw CommError(message_->failure);
    if (!message_->over && !box_->failure_.empty()) throw CommError(box_->failure_);
    return message_->over;
  }
  void wait(Stream&) override {
    for (Backoff backoff; !done();) backoff.pause();
  }

 private:
  std::shared_ptr<Mailbox> box_;
  std::shared_ptr<Message> message_;
  std::shared_ptr<Engine> engine_;
};

Communicator::Pending Mailbox::start(const Operation& operation, int here, const GroupNames& names,
                                     std::shared_ptr<Engine> engine) {
  const bool sends = operation.op == Op::send;
  auto message = std::make_shared<Message>(
      Message{operation, sends ? here : operation.peer, sends ? operation.peer : here, false, ""});
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw CommError(failure_);
  const auto match = std::find_if(unmatched_.begin(), unmatched_.end(), [&](const auto& m) {
    return m->operation.op != operation.op && m->from == message->from && m->to == message->to &&
           m->operation.tag == operation.tag;
  });
  if (match == unmatched_.end()) {
    unmatched_.push_back(message);
  } else {
    sends ? transfer(*message, **match, names) : transfer(**match, *message, names);
    unmatched_.erase(match);
  }
  return std::make_unique<MailWork>(shared_from_this(), std::move(message), std::move(engine));
}

void Mailbox::transfer(Message& send, Message& recv, const GroupNames& names) {
  const Tensor& in = send.operation.in;
  const Tensor& out = recv.operation.out;
  if (in.dtype != out.dtype || in.count() != out.count()) {
    const auto world_rank = [&](int rank) { return names.world_ranks[static_cast<size_t>(rank)]; };
    send.failure = recv.failure =
        concat("the ranks of group ", names.group, " disagree: rank ", world_rank(send.from), " calls ", send.operation,
               ", rank ", world_rank(recv.to), " calls ", recv.operation);
    return;
  }
  if (in.bytes() > 0) std::memcpy(out.data, in.data, in.bytes());
  send.over = recv.over = true;
}

void Mailbox::fail(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = why;
}

}  // namespace birkhoff
