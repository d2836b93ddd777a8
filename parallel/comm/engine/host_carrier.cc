#include <numeric>

#include "parallel/comm/engine/carrier.h"

namespace birkhoff {
namespace {

using PerRank = std::vector<int64_t>;

int64_t sum(const PerRank& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

// Counts that are zero except for one rank.
PerRank one_nonzero(size_t size, size_t place, int64_t value) {
  PerRank counts(size, 0);
  counts[place] = value;
  return counts;
}

PerRank even_counts(int64_t total, size_t parts) {
  const auto n = static_cast<int64_t>(parts);
  PerRank counts(parts, total / n);
  for (int64_t i = 0; i < total % n; ++i) ++counts[static_cast<size_t>(i)];
  return counts;
}

// The hosts of a group, and this rank's position among them.
struct Hosts {
  std::vector<int> first, size;  // the first rank and the number of ranks of each host
  GroupNames names;
  size_t here = 0;        // this rank's host
  size_t local_rank = 0;  // this rank's number on its host

  bool leader() const { return local_rank == 0; }
  size_t ranks_here() const { return static_cast<size_t>(size[here]); }
  size_t host_of(int rank) const {
    size_t h = 0;
    while (h + 1 < first.size() && first[h + 1] <= rank) ++h;
    return h;
  }
  // From counts per rank, local() returns the counts of this host's ranks, by_host() the sum for each host, and
  // begin_here() the number of elements before this host.
  PerRank local(const PerRank& counts) const {
    const auto begin = counts.begin() + first[here];
    return {begin, begin + size[here]};
  }
  PerRank by_host(const PerRank& counts) const {
    PerRank sums;
    for (size_t h = 0; h < size.size(); ++h) {
      const auto begin = counts.begin() + first[h];
      sums.push_back(std::accumulate(begin, begin + size[h], int64_t{0}));
    }
    return sums;
  }
  int64_t begin_here(const PerRank& counts) const {
    return std::accumulate(counts.begin(), counts.begin() + first[here], int64_t{0});
  }
  GroupNames names_here() const {
    const auto begin = names.world_ranks.begin() + first[here];
    return {names.group, {begin, begin + size[here]}};
  }
  GroupNames names_of_leaders() const {
    std::vector<int> leaders;
    for (const int rank : first) leaders.push_back(names.world_ranks[static_cast<size_t>(rank)]);
    return {names.group, leaders};
  }
};

// A sequence of collectives, each among the ranks of the host, among the leaders, or among all ranks. The first is
// always within the host, so that ranks of one host that call different operations meet there and report it.
class HostCollective final : public RunningCollective {
 public:
  HostCollective(Operation operation, uint64_t sequence, HostExchanges& exchanges, const Hosts& hosts)
      : operation_(std::move(operation)),
        call_(header_of(operation_, sequence)),
        exchanges_(exchanges),
        hosts_(hosts) {}

  // Makes the plan here and not in the constructor, so that only the first collective in the queue holds memory.
  bool advance() override {
    if (stages_.empty()) plan(operation_);
    for (; stage_ < stages_.size(); ++stage_) {
      Stage& s = stages_[stage_];
      if (!running_) running_ = std::make_unique<Collective>(s.operation, call_, *s.exchange, s.names);
      if (!running_->advance()) return false;
      running_.reset();
    }
    memory_.reset();
    return true;
  }
  std::vector<int> missing() const override { return running_ ? running_->missing() : std::vector<int>{}; }
  std::vector<int> reading() const override { return running_ ? running_->reading() : std::vector<int>{}; }

 private:
  struct Stage {
    Exchange* exchange;
    Operation operation;
    GroupNames names;
  };

  static Tensor none(const Operation& o) { return {nullptr, o.dtype(), {0}}; }
  void on_host(Operation operation) {
    stages_.push_back({exchanges_.host.get(), std::move(operation), hosts_.names_here()});
  }
  void on_leaders(Operation operation) {
    if (hosts_.leader()) stages_.push_back({exchanges_.leaders.get(), std::move(operation), hosts_.names_of_leaders()});
  }
  // Ranks give `part` to their leader, which stores the parts one after the other in `all`.
  void to_leader(const Operation& o, Tensor part, Tensor all, const PerRank& counts) {
    const size_t n = hosts_.ranks_here();
    on_host({.op = Op::all_to_all_v,
             .out = hosts_.leader() ? all : none(o),
             .in = part,
             .out_counts = hosts_.leader() ? counts : PerRank(n, 0),
             .in_counts = one_nonzero(n, 0, part.count())});
  }
  void from_leader(const Operation& o, Tensor part, Tensor all, const PerRank& counts) {
    const size_t n = hosts_.ranks_here();
    on_host({.op = Op::all_to_all_v,
             .out = part,
             .in = hosts_.leader() ? all : none(o),
             .out_counts = one_nonzero(n, 0, part.count()),
             .in_counts = hosts_.leader() ? counts : PerRank(n, 0)});
  }

  void plan(const Operation& o) {
    switch (o.op) {
      case Op::reduce_scatter_v:
        return plan_reduce_scatter(o);
      case Op::all_gather_v:
        return plan_all_gather(o);
      case Op::all_reduce:
        return plan_all_reduce(o);
      case Op::broadcast:
        return plan_broadcast(o);
      default:
        return plan_all_to_all(o);
    }
  }

  void plan_reduce_scatter(const Operation& o) {
    const PerRank slices = even_counts(o.in.count(), hosts_.ranks_here());
    const int64_t mine = slices[hosts_.local_rank], held = hosts_.leader() ? o.in.count() : mine;
    memory_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(held) * size_of(o.dtype()));
    const Tensor sums{memory_.get(), o.dtype(), {held}};
    on_host({.op = o.op, .reduce = o.reduce, .out = sums.flat(0, mine), .in = o.in, .in_counts = slices});
    to_leader(o, sums.flat(0, mine), sums, slices);
    const PerRank local = hosts_.local(o.in_counts);
    const Tensor here = hosts_.leader() ? sums.flat(hosts_.begin_here(o.in_counts), sum(local)) : none(o);
    on_leaders({.op = o.op, .reduce = o.reduce, .out = here, .in = sums, .in_counts = hosts_.by_host(o.in_counts)});
    from_leader(o, o.out, here, local);
  }

  void plan_all_gather(const Operation& o) {
    const PerRank local = hosts_.local(o.out_counts);
    const Tensor here = o.out.flat(hosts_.begin_here(o.out_counts), sum(local));
    to_leader(o, o.in, here, local);
    on_leaders({.op = o.op, .out = o.out, .in = here, .out_counts = hosts_.by_host(o.out_counts)});
    on_host({.op = Op::broadcast, .out = o.out, .in = o.out});
  }

  void plan_all_reduce(const Operation& o) {
    on_host(o);
    on_leaders(o);
    on_host({.op = Op::broadcast, .out = o.out, .in = o.out});
  }

  void plan_broadcast(const Operation& o) {
    const size_t root_host = hosts_.host_of(o.peer);
    const bool has_root = root_host == hosts_.here;
    const Tensor first = has_root ? o.out : none(o);
    on_host({.op = o.op, .out = first, .in = first, .peer = has_root ? o.peer - hosts_.first[root_host] : 0});
    on_leaders({.op = o.op, .out = o.out, .in = o.in, .peer = static_cast<int>(root_host)});
    if (!has_root) on_host({.op = o.op, .out = o.out, .in = o.in});
  }

  void plan_all_to_all(const Operation& o) {
    // Moves nothing. It only lets the ranks of a host compare their calls.
    on_host({.op = Op::broadcast, .out = none(o), .in = none(o)});
    stages_.push_back({exchanges_.all.get(), o, hosts_.names});
  }

  Operation operation_;
  StepHeader call_;
  HostExchanges& exchanges_;
  const Hosts& hosts_;
  std::vector<Stage> stages_;
  size_t stage_ = 0;
  std::unique_ptr<Collective> running_;
  std::unique_ptr<std::byte[]> memory_;  // the sums over this host: one slice, or on the leader all slices
};

class HostCarrier final : public Carrier {
 public:
  explicit HostCarrier(HostExchanges exchanges) : exchanges_(std::move(exchanges)) {
    int first = 0;
    for (int size : exchanges_.host_sizes) {
      hosts_.first.push_back(first);
      hosts_.size.push_back(size);
      first += size;
    }
    hosts_.names = exchanges_.names;
    hosts_.here = hosts_.host_of(rank());
    hosts_.local_rank = static_cast<size_t>(rank() - hosts_.first[hosts_.here]);
  }
  int rank() const override { return exchanges_.all->rank(); }
  int size() const override { return exchanges_.all->size(); }
  const GroupNames& names() const override { return hosts_.names; }
  std::unique_ptr<RunningCollective> begin(Operation operation, uint64_t sequence) override {
    return std::make_unique<HostCollective>(std::move(operation), sequence, exchanges_, hosts_);
  }
  void fail(const std::string& why) noexcept override {
    for (Exchange* e : {exchanges_.host.get(), exchanges_.leaders.get(), exchanges_.all.get()}) {
      if (e) e->fail(why);
    }
  }

 private:
  HostExchanges exchanges_;
  Hosts hosts_;
};

}  // namespace

std::unique_ptr<Carrier> make_host_carrier(HostExchanges exchanges) {
  return std::make_unique<HostCarrier>(std::move(exchanges));
}

}  // namespace birkhoff
