#include "trainer/nn/recompute.h"

#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

class RecomputedModule final : public StateModule {
 public:
  RecomputedModule(Build& build, std::unique_ptr<StateModule> inner)
      : inner_(std::move(inner)), in_(build.slot<State>()) {}

  // Allocates the output first, so that the scope can release everything that the block allocates after it.
  State forward(Frame& f, State in) override {
    f.saved(in_) = in;
    const State kept{f.take(in.x.dtype, in.x.shape), in.pre.present() ? f.take(in.pre.dtype, in.pre.shape) : Tensor{}};
    const ArenaScope scope(f.activations);
    const State out = inner_->forward(f, in);
    copy(f.stream, kept.x, out.x);
    if (out.pre.present()) copy(f.stream, kept.pre, out.pre);
    return kept;
  }

  State backward_input(Frame& f, State d) override {
    const ArenaScope scope(f.activations);
    f.mode = Frame::Mode::replay;
    inner_->forward(f, f.saved(in_));
    f.mode = Frame::Mode::training;
    const State dx = inner_->backward_input(f, d);
    inner_->backward_weight(f);
    return dx;
  }
  void visit(ModuleVisitor& v) override { inner_->visit(v); }

 private:
  std::unique_ptr<StateModule> inner_;
  Slot<State> in_;
};

}  // namespace

std::unique_ptr<StateModule> recompute(Build& build, std::unique_ptr<StateModule> inner) {
  return std::make_unique<RecomputedModule>(build, std::move(inner));
}

class StreamGroup::Member final : public StateModule {
 public:
  Member(std::shared_ptr<Shared> group, std::unique_ptr<ReplayedModule> inner)
      : group_(std::move(group)), inner_(std::move(inner)), index_(group_->members.size()) {
    group_->members.push_back(inner_.get());
  }

  State forward(Frame& f, State in) override {
    if (index_ == 0) group_->begin(f, in);
    const State out = inner_->forward(f, in);
    return last() ? keep(f, out) : out;
  }
  State backward_input(Frame& f, State d) override {
    if (last()) group_->replay(f);
    const State dx = inner_->backward_input(f, d);
    inner_->backward_weight(f);  // must run now, since its inputs are in transient memory
    return dx;
  }
  void visit(ModuleVisitor& v) override { inner_->visit(v); }

 private:
  bool last() const { return index_ + 1 == group_->members.size(); }
  // Copies the streams to memory that outlives the group. State::pre is never in transient memory.
  static State keep(Frame& f, State out) {
    const State kept{f.take(out.x.dtype, out.x.shape), out.pre};
    copy(f.stream, kept.x, out.x);
    return kept;
  }

  std::shared_ptr<Shared> group_;
  std::unique_ptr<ReplayedModule> inner_;
  size_t index_;
};

StreamGroup::StreamGroup(Build& build, MemberBytes member_bytes)
    : state_(std::make_shared<Shared>(Shared{{}, member_bytes, build.slot<State>()})) {}

std::unique_ptr<StateModule> StreamGroup::add(std::unique_ptr<ReplayedModule> inner) {
  return std::make_unique<Member>(state_, std::move(inner));
}

void StreamGroup::Shared::begin(Frame& f, State x) const {
  f.saved(in) = x;
  f.transient.reset();
  // Reserve one contiguous block, so that the replay gets the same addresses, whatever the arena held before.
  f.transient.reserve(members.size() * member_bytes(x.x));
  f.transient_owner = this;
}

// Does nothing if the group's tensors are still there, as those of the last group are right after the forward.
void StreamGroup::Shared::replay(Frame& f) const {
  if (f.transient_owner == this) return;
  f.transient.reset();
  f.mode = Frame::Mode::stream_replay;
  State s = f.saved(in);
  for (ReplayedModule* member : members) s = member->replay(f, s);
  f.mode = Frame::Mode::training;
  f.transient_owner = this;
}

int64_t best_stream_group(int64_t num_blocks, int64_t streams) {
  auto cost = [&](int64_t g) { return streams * ((num_blocks + g - 1) / g) + 2 * g * (streams + 2); };
  int64_t best = 1;
  for (int64_t g = 2; g <= num_blocks; ++g) {
    if (cost(g) < cost(best)) best = g;
  }
  return best;
}

}  // namespace birkhoff
