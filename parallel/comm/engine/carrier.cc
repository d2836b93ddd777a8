#include "parallel/comm/engine/carrier.h"

#include <numeric>

namespace birkhoff {
namespace {

class FlatCarrier final : public Carrier {
 public:
  FlatCarrier(std::unique_ptr<Exchange> exchange, std::vector<int> names)
      : exchange_(std::move(exchange)), names_(names_or_ranks(std::move(names), exchange_->size())) {}
  int rank() const override { return exchange_->rank(); }
  int size() const override { return exchange_->size(); }
  std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) override {
    const StepHeader call = header_of(operation, sequence);
    return std::make_unique<Collective>(std::move(operation), call, *exchange_, names_);
  }
  void fail(const std::string& why) noexcept override { exchange_->fail(why); }

 private:
  std::unique_ptr<Exchange> exchange_;
  std::vector<int> names_;
};

}  // namespace

std::vector<int> names_or_ranks(std::vector<int> names, int ranks) {
  if (!names.empty()) return names;
  names.resize(static_cast<size_t>(ranks));
  std::iota(names.begin(), names.end(), 0);
  return names;
}

std::unique_ptr<Carrier> make_flat_carrier(std::unique_ptr<Exchange> exchange, std::vector<int> names) {
  return std::make_unique<FlatCarrier>(std::move(exchange), std::move(names));
}

}  // namespace birkhoff
