#include "parallel/comm/operation.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <ostream>

#include "kernels/core/error.h"

namespace birkhoff {

std::string_view name_of(Op op) {
  constexpr std::array<std::string_view, 8> kNames{
      "all_reduce", "all_gather_v", "reduce_scatter_v", "all_to_all_v", "broadcast", "send", "recv", "split"};
  return kNames[static_cast<size_t>(op)];
}

int64_t Operation::count() const { return std::max(in.count(), out.count()); }
int64_t Operation::bytes() const { return count() * static_cast<int64_t>(size_of(dtype())); }

int64_t Operation::count_sent(int rank, int size) const {
  const auto own_of = [rank](const std::vector<int64_t>& counts) { return counts[static_cast<size_t>(rank)]; };
  const auto sum_of = [](const std::vector<int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), int64_t{0});
  };
  switch (op) {
    case Op::all_reduce: {
      const int64_t own = count() * (rank + 1) / size - count() * rank / size;
      return count() - own + own * (size - 1);
    }
    case Op::all_gather_v:
      return own_of(out_counts) * (size - 1);
    case Op::reduce_scatter_v:
      return sum_of(in_counts) - own_of(in_counts);
    case Op::all_to_all_v:
      return sum_of(in_counts) - own_of(in_counts);
    case Op::broadcast:
      return peer == rank ? count() * (size - 1) : 0;
    case Op::send:
      return peer == rank ? 0 : count();
    case Op::recv:
    case Op::split:
      return 0;
  }
  throw BugError("unknown operation");
}

std::ostream& operator<<(std::ostream& out, const Operation& o) {
  out << name_of(o.op);
  if (o.op == Op::all_reduce || o.op == Op::reduce_scatter_v) out << ' ' << name_of(o.reduce);
  out << " of " << o.count() << ' ' << o.dtype();
  if (o.op == Op::broadcast) out << " from rank " << o.world_peer;
  if (o.op == Op::send) out << " to rank " << o.world_peer << " tag " << o.tag;
  if (o.op == Op::recv) out << " from rank " << o.world_peer << " tag " << o.tag;
  return out;
}

}  // namespace birkhoff
