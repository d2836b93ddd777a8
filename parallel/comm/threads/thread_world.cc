#include "parallel/comm/threads/thread_world.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "kernels/core/error.h"
#include "parallel/comm/engine/group_communicator.h"
#include "parallel/comm/engine/memory_exchange.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/threads/mailbox.h"

namespace birkhoff {
namespace {

struct Group {
  explicit Group(int ranks) : board(make_heap_board(ranks, BlockPath::direct)), mail(std::make_shared<Mailbox>()) {}
  Board board;
  std::shared_ptr<Mailbox> mail;
};

// All groups of the process, so that a failing rank can release its peers in every one of them.
class Groups {
 public:
  std::shared_ptr<Group> make(int ranks) {
    auto group = std::make_shared<Group>(ranks);
    const std::lock_guard lock(mutex_);
    groups_.push_back(group);
    return group;
  }
  void fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : groups_) {
      const auto group = weak.lock();
      if (!group) continue;
      group->board.fail(why);
      group->mail->fail(why);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Group>> groups_;
};

// The arguments of split() on one rank, and the ranks that share a color, ordered by (key, rank).
struct Choice {
  int64_t color, key;
};
std::vector<int> members_of(const std::vector<Choice>& choices, int64_t color) {
  std::vector<int> members;
  for (size_t r = 0; r < choices.size(); ++r) {
    if (choices[r].color == color) members.push_back(static_cast<int>(r));
  }
  std::stable_sort(members.begin(), members.end(), [&](int a, int b) {
    return choices[static_cast<size_t>(a)].key < choices[static_cast<size_t>(b)].key;
  });
  return members;
}

class ThreadCommunicator final : public GroupCommunicator {
 public:
  ThreadCommunicator(std::shared_ptr<Groups> groups, std::shared_ptr<Group> group, std::shared_ptr<Engine> engine,
                     int rank, GroupNames names)
      : GroupCommunicator(std::move(engine),
                          make_flat_carrier(make_memory_exchange(group->board, rank), std::move(names))),
        groups_(std::move(groups)),
        group_(std::move(group)) {
    set_local(rank, group_->board.ranks());
  }
  ~ThreadCommunicator() override = default;

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override;
  void abort(const std::string& why, int) noexcept override {
    groups_->fail(concat("rank ", world_rank(rank()), " failed: ", why));
  }

 private:
  Pending start_message(const Operation& operation) override {
    return group_->mail->start(operation, rank(), names(), engine());
  }

  std::shared_ptr<Groups> groups_;
  std::shared_ptr<Group> group_;
};

std::unique_ptr<Communicator> ThreadCommunicator::split(int color, int key, const std::string& name) {
  const std::vector<int> members = members_of(all_gather_on_host(*this, Choice{color, key}), color);
  const auto place = std::find(members.begin(), members.end(), rank());
  std::shared_ptr<Group> group;
  if (place == members.begin()) group = groups_->make(static_cast<int>(members.size()));
  // The first member made the group. The others copy the pointer from its stack frame, which the barrier keeps alive.
  const auto pointers = all_gather_on_host<const std::shared_ptr<Group>*>(*this, &group);
  if (place != members.begin()) group = *pointers[static_cast<size_t>(members[0])];
  barrier();
  GroupNames names{name, {}};
  for (const int member : members) names.world_ranks.push_back(world_rank(member));
  return std::make_unique<ThreadCommunicator>(groups_, group, engine(), static_cast<int>(place - members.begin()),
                                              std::move(names));
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_thread_world(int ranks) {
  BK_ASSERT(ranks >= 1);
  auto groups = std::make_shared<Groups>();
  const auto group = groups->make(ranks);
  std::vector<std::unique_ptr<Communicator>> world;
  for (int r = 0; r < ranks; ++r) {
    world.push_back(
        std::make_unique<ThreadCommunicator>(groups, group, std::make_shared<Engine>(), r, names_of_world(ranks)));
  }
  return world;
}

}  // namespace birkhoff
