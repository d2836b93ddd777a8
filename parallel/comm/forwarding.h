#pragma once
#include <memory>
#include <string>
#include <utility>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// A communicator that passes every call on to another one, as the base of those that add something to some calls, such
// as a trace of the operations. A derived class must implement split(), since only it can tell whether the parts get
// the same addition.
class ForwardingCommunicator : public Communicator {
 public:
  // The other communicator: one that outlives this one, or one that this one owns.
  class Inner {
   public:
    Inner(Communicator& inner) : inner_(&inner) {}
    Inner(std::unique_ptr<Communicator> inner) : owned_(std::move(inner)), inner_(owned_.get()) {}

   private:
    friend ForwardingCommunicator;
    std::unique_ptr<Communicator> owned_;
    Communicator* inner_;
  };

  explicit ForwardingCommunicator(Inner inner) : owned_(std::move(inner.owned_)), inner_(*inner.inner_) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  int local_rank() const override { return inner_.local_rank(); }
  int local_size() const override { return inner_.local_size(); }
  const std::string& name() const override { return inner_.name(); }
  int world_rank(int rank) const override { return inner_.world_rank(rank); }
  void progress() override { inner_.progress(); }
  Wait waiting_for() const override { return inner_.waiting_for(); }
  void abort(const std::string& why, int exit_code) noexcept override { inner_.abort(why, exit_code); }
  Pending start(Operation operation) override { return inner_.start(std::move(operation)); }

 protected:
  Communicator& inner() const { return inner_; }

 private:
  std::unique_ptr<Communicator> owned_;
  Communicator& inner_;
};

}  // namespace birkhoff
