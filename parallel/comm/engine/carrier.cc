#include "parallel/comm/engine/carrier.h"

#include <numeric>

namespace birkhoff {
namespace {

class FlatCarrier final : public Carrier {
 public:
  FlatCarrier(std::unique_ptr<Exchange> exchange, GroupNames names)
      : exchange_(std::move(exchange)), names_(std::move(names)) {}
  int rank() const override { return exchange_->rank(); }
  int size() const override { return exchange_->size(); }
  const GroupNames& names() const override { return names_; }
  std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) override {
    const StepHeader call = header_of(operation, sequence);
    return std::make_unique<Collective>(std::move(operation), call, *exchange_, names_);
  }
  void fail(const std::string& why) noexcept override { exchange_->fail(why); }

 private:
  std::unique_ptr<Exchange> exchange_;
  GroupNames names_;
};

}  // namespace

GroupNames names_of_world(int ranks) {
  GroupNames names;
  names.world_ranks.resize(static_cast<size_t>(ranks));
  std::iota(names.world_ranks.begin(), names.world_ranks.end(), 0);
  return names;
}

std::unique_ptr<Carrier> make_flat_carrier(std::unique_ptr<Exchange> exchange, GroupNames names) {
  return std::make_unique<FlatCarrier>(std::move(exchange), std::move(names));
}

}  // namespace birkhoff
