#include "parallel/comm/operation.h"

#include <algorithm>
#include <array>
#include <ostream>

namespace birkhoff {

std::string_view name_of(Op op) {
  constexpr std::array<std::string_view, 8> kNames{
      "all_reduce", "all_gather_v", "reduce_scatter_v", "all_to_all_v", "broadcast", "send", "recv", "split"};
  return kNames[static_cast<size_t>(op)];
}

int64_t Operation::count() const { return std::max(in.count(), out.count()); }
int64_t Operation::bytes() const { return count() * static_cast<int64_t>(size_of(dtype())); }

std::ostream& operator<<(std::ostream& out, const Operation& o) {
  out << name_of(o.op);
  if (o.op == Op::all_reduce || o.op == Op::reduce_scatter_v) out << ' ' << name_of(o.reduce);
  out << " of " << o.count() << ' ' << o.dtype();
  if (o.op == Op::broadcast) out << " from rank " << o.peer;
  if (o.op == Op::send) out << " to rank " << o.peer << " tag " << o.tag;
  if (o.op == Op::recv) out << " from rank " << o.peer << " tag " << o.tag;
  return out;
}

}  // namespace birkhoff
