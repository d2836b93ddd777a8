#include "trainer/nn/row_exchange.h"

#include <numeric>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/gemm/precision.h"
#include "kernels/moe/expert_order.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

int64_t total(const std::vector<int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

// Elements of each row.
int64_t width_of(Tensor rows) {
  int64_t width = 1;
  for (int dim = 1; dim < rows.shape.rank(); ++dim) width *= rows.shape[dim];
  return width;
}

std::vector<int64_t> elements(std::vector<int64_t> rows, int64_t width) {
  for (int64_t& count : rows) count *= width;
  return rows;
}

std::vector<int64_t> evenly(int64_t rows, int64_t ranks) {
  std::vector<int64_t> counts;
  for (int64_t r = 0; r < ranks; ++r) counts.push_back((r + 1) * rows / ranks - r * rows / ranks);
  return counts;
}

bool narrows(Payload payload, Tensor rows) {
  return payload != Payload::activation && rows.dtype != Precision::narrow();
}

bool is_dry(const Frame& f) { return f.stream.device.kind == DeviceKind::meta; }

}  // namespace

RowRoute RowExchange::route(Frame& f, Tensor to, int64_t planned) const {
  const auto n = static_cast<size_t>(size());
  RowRoute route;
  const Tensor offsets = f.take_offset({size() + 1});
  route.row_of = f.take_index(to.shape);
  route.item_of = f.take_index({to.count()});
  expert_order(f.stream, {offsets, route.row_of, route.item_of, to});
  if (is_dry(f)) {
    route.sent = route.received = evenly(planned, size());
  } else {
    std::vector<int64_t> first(n + 1);
    to_host(f.stream, first.data(), offsets);
    for (size_t r = 0; r < n; ++r) route.sent.push_back(first[r + 1] - first[r]);
    const std::vector<int64_t> ones(n, 1);
    route.received = all_to_all_v_on_host(*group_, ones, std::span<const int64_t>(route.sent), ones);
  }
  route.num_sent = total(route.sent);
  route.num_received = total(route.received);
  route.item_of = route.item_of.rows(0, route.num_sent);
  return route;
}

void RowExchange::exchange(Frame& f, Tensor out, const std::vector<int64_t>& received, Tensor in,
                           const std::vector<int64_t>& sent, Payload payload) const {
  const int64_t width = width_of(in);
  const auto move = [&](Tensor to, Tensor from) {
    group_->all_to_all_v(f.stream, to, elements(received, width), from, elements(sent, width))->wait(f.stream);
  };
  if (size() == 1 || !narrows(payload, in)) return move(out, in);
  const ArenaScope scope(f.gradient_arena());
  const Tensor packed = f.take_gradient(Precision::narrow(), in.shape),
               arrived = f.take_gradient(Precision::narrow(), out.shape);
  copy(f.stream, packed, in);
  move(arrived, packed);
  copy(f.stream, out, arrived);
}

void RowExchange::send(Frame& f, const RowRoute& route, Tensor out, Tensor in, Payload payload) const {
  BK_ASSERT(out.shape[0] == route.num_received && in.shape[0] == route.num_sent, "sends ", in.shape, " into ",
            out.shape);
  exchange(f, out, route.received, in, route.sent, payload);
}

void RowExchange::give_back(Frame& f, const RowRoute& route, Tensor out, Tensor in, Payload payload) const {
  BK_ASSERT(out.shape[0] == route.num_sent && in.shape[0] == route.num_received, "gives back ", in.shape, " into ",
            out.shape);
  exchange(f, out, route.sent, in, route.received, payload);
}

std::vector<int64_t> RowGather::counts(Frame& f, int64_t own) const {
  if (is_dry(f)) return std::vector<int64_t>(static_cast<size_t>(size()), own);
  return all_gather_on_host(*group_, own);
}

Tensor RowGather::gather(Frame& f, const std::vector<int64_t>& counts, Tensor own, Payload payload) const {
  if (size() == 1) return own;
  const auto joined = [&](Tensor all, Tensor part) {
    group_->all_gather_v(f.stream, all, part, elements(counts, width_of(part)))->wait(f.stream);
    return all;
  };
  const Tensor all = f.take_gradient(own.dtype, own.shape.with(0, total(counts)));
  if (!narrows(payload, own)) return joined(all, own);
  const ArenaScope scope(f.gradient_arena());
  const Tensor packed = f.take_gradient(Precision::narrow(), own.shape);
  copy(f.stream, packed, own);
  copy(f.stream, all, joined(f.take_gradient(Precision::narrow(), all.shape), packed));
  return all;
}

void RowGather::sum_to(Frame& f, const std::vector<int64_t>& counts, Tensor own, Tensor all) const {
  const ArenaScope scope(f.gradient_arena());
  const bool same = own.dtype == all.dtype;
  const Tensor sum = same ? own : f.take_gradient(all.dtype, own.shape);
  group_->reduce_scatter_v(f.stream, sum, all, elements(counts, width_of(own)))->wait(f.stream);
  if (!same) copy(f.stream, own, sum);
}

}  // namespace birkhoff
