#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/comm/engine/collective.h"

namespace birkhoff {

class Engine;

// Messages between the ranks of one group in one process. Of a matching send and recv, the call that comes second
// copies the bytes directly from buffer to buffer.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  // Starts the send or recv of rank `here`. CommError, on both ranks, if sizes or dtypes differ.
  Communicator::Pending start(const Operation& operation, int here, const GroupNames& names,
                              std::shared_ptr<Engine> engine);
  // Every pending and later message throws CommError(why).
  void fail(const std::string& why);

 private:
  struct Message {
    Operation operation;
    int from, to;
    bool over = false;
    std::string failure;
  };
  class MailWork;
  static void transfer(Message& send, Message& recv, const GroupNames& names);

  std::mutex mutex_;
  std::list<std::shared_ptr<Message>> unmatched_;
  std::string failure_;
};

}  // namespace birkhoff
