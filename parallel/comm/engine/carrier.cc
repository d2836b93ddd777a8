#include "parallel/comm/engine/carrier.h"

namespace birkhoff {
namespace {

class FlatCarrier final : public Carrier {
 public:
  explicit FlatCarrier(std::unique_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  int rank() const override { return exchange_->rank(); }
  int size() const override { return exchange_->size(); }
  std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) override {
    return std::make_unique<Collective>(std::move(operation), sequence, *exchange_);
  }
  void fail(const std::string& why) noexcept override { exchange_->fail(why); }

 private:
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace

std::unique_ptr<Carrier> make_flat_carrier(std::unique_ptr<Exchange> exchange) {
  return std::make_unique<FlatCarrier>(std::move(exchange));
}

}  // namespace birkhoff
