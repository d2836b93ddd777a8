#pragma once
#include <memory>
#include <string>

#include "kernels/core/error.h"
#include "parallel/comm/communicator.h"

namespace birkhoff::test {

// A communicator that only knows its rank and size and cannot communicate. Checkpoint tests use it to say which rank of
// a group holds a tensor.
class RankOf final : public Communicator {
 public:
  RankOf(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size_; }
  const std::string& name() const override { return name_; }
  int world_rank(int rank) const override { return rank; }
  std::unique_ptr<Communicator> split(int, int, const std::string&) override { throw BugError("no group"); }
  void progress() override {}
  Wait waiting_for() const override { return {}; }
  void abort(const std::string&, int) noexcept override {}
  Pending start(Operation) override { throw BugError("no group"); }

 private:
  int rank_, size_;
  std::string name_ = "holders";
};

}  // namespace birkhoff::test
