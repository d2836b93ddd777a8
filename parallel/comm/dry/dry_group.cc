#include "parallel/comm/dry/dry_group.h"

#include "kernels/core/error.h"
#include "parallel/comm/engine/group_communicator.h"

namespace birkhoff {
namespace {

class DryGroup final : public Communicator {
 public:
  DryGroup(GroupPlace place, Traffic& traffic) : place_(std::move(place)), traffic_(&traffic) {}

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }
  int local_rank() const override { return place_.local_rank; }
  int local_size() const override { return place_.local_size; }
  const std::string& name() const override { return place_.name; }
  int world_rank(int rank) const override { return rank; }
  void progress() override {}
  Wait waiting_for() const override { return {}; }
  void abort(const std::string&, int) noexcept override {}
  std::unique_ptr<Communicator> split(int, int, const std::string& name) override {
    throw BugError(concat("the dry group ", place_.name, " cannot be split into ", name));
  }

  Pending start(Operation operation) override {
    const bool has_data = operation.in.data != nullptr || operation.out.data != nullptr;
    BK_ASSERT(!has_data || operation.op == Op::all_reduce, "a dry group moves no data, given ", operation);
    const auto bytes = static_cast<int64_t>(size_of(operation.dtype()));
    if (place_.size > 1) (*traffic_)[place_.name] += operation.count_sent(place_.rank, place_.size) * bytes;
    return std::make_unique<FinishedWork>();
  }

 private:
  GroupPlace place_;
  Traffic* traffic_;
};

}  // namespace

std::unique_ptr<Communicator> make_dry_group(const GroupPlace& place, Traffic& traffic) {
  return std::make_unique<DryGroup>(place, traffic);
}

}  // namespace birkhoff
