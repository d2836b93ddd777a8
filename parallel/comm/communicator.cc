#include "parallel/comm/communicator.h"

#include <numeric>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

void check_rank(const Communicator& comm, int rank, std::string_view op) {
  BK_ASSERT(rank >= 0 && rank < comm.size(), op, " names rank ", rank, " of the ", comm.size(), " of group ",
            comm.name());
}

std::vector<int64_t> checked_counts(const Communicator& comm, Counts counts, const Tensor& all, std::string_view op) {
  BK_ASSERT(static_cast<int>(counts.size()) == comm.size(), op, " got ", counts.size(), " counts for ", comm.size(),
            " ranks");
  int64_t total = 0;
  for (const int64_t count : counts) {
    BK_ASSERT(count >= 0, op, " got a negative count");
    total += count;
  }
  BK_ASSERT(total == all.count(), op, ": counts sum to ", total, ", the tensor has ", all.count(), " elements");
  return {counts.begin(), counts.end()};
}

void check_pair(const Tensor& a, const Tensor& b, std::string_view op) {
  BK_ASSERT(a.dtype == b.dtype, op, " between ", a.dtype, " and ", b.dtype);
}

// All existing transports read host memory.
void check_device(const Stream& stream, std::initializer_list<Tensor> tensors) {
  BK_ASSERT(stream.device.kind != DeviceKind::cuda, "no transport carries device memory yet");
  for (const Tensor& t : tensors) check_on(stream.device, t);
}

}  // namespace

// Wrong arguments are a bug of the caller, never a mistake of the user, so all checks use BK_ASSERT.
Communicator::Pending Communicator::all_reduce(Stream& stream, Tensor inout, Reduce reduce, Site where) {
  check_device(stream, {inout});
  return start({.op = Op::all_reduce, .reduce = reduce, .out = inout, .in = inout, .where = where});
}

Communicator::Pending Communicator::all_gather_v(Stream& stream, Tensor out, Tensor shard, Counts counts, Site where) {
  check_device(stream, {out, shard});
  check_pair(out, shard, "all_gather_v");
  auto out_counts = checked_counts(*this, counts, out, "all_gather_v");
  BK_ASSERT(shard.count() == out_counts[static_cast<size_t>(rank())], "all_gather_v: shard of ", shard.count());
  return start({.op = Op::all_gather_v, .out = out, .in = shard, .out_counts = out_counts, .where = where});
}

Communicator::Pending Communicator::reduce_scatter_v(Stream& stream, Tensor shard, Tensor in, Counts counts,
                                                     Reduce reduce, Site where) {
  check_device(stream, {shard, in});
  check_pair(shard, in, "reduce_scatter_v");
  auto in_counts = checked_counts(*this, counts, in, "reduce_scatter_v");
  BK_ASSERT(shard.count() == in_counts[static_cast<size_t>(rank())], "reduce_scatter_v: shard of ", shard.count());
  return start({.op = Op::reduce_scatter_v,
                .reduce = reduce,
                .out = shard,
                .in = in,

                .in_counts = in_counts,
                .where = where});
}

Communicator::Pending Communicator::all_to_all_v(Stream& stream, Tensor out, Counts out_counts, Tensor in,
                                                 Counts in_counts, Site where) {
  check_device(stream, {out, in});
  check_pair(out, in, "all_to_all_v");
  const auto here = static_cast<size_t>(rank());
  BK_ASSERT(out_counts.size() > here && in_counts.size() > here && out_counts[here] == in_counts[here],
            "all_to_all_v: a rank gives itself as many elements as it takes");
  return start({.op = Op::all_to_all_v,
                .out = out,
                .in = in,
                .out_counts = checked_counts(*this, out_counts, out, "all_to_all_v"),
                .in_counts = checked_counts(*this, in_counts, in, "all_to_all_v"),
                .where = where});
}

Communicator::Pending Communicator::broadcast(Stream& stream, Tensor inout, int root, Site where) {
  check_device(stream, {inout});
  check_rank(*this, root, "broadcast");
  return start(
      {.op = Op::broadcast, .out = inout, .in = inout, .peer = root, .world_peer = world_rank(root), .where = where});
}

Communicator::Pending Communicator::send(Stream& stream, Tensor in, int to, int tag, Site where) {
  check_device(stream, {in});
  check_rank(*this, to, "send");
  BK_ASSERT(tag >= 0);
  return start({.op = Op::send, .in = in, .peer = to, .world_peer = world_rank(to), .tag = tag, .where = where});
}

Communicator::Pending Communicator::recv(Stream& stream, Tensor out, int from, int tag, Site where) {
  check_device(stream, {out});
  check_rank(*this, from, "recv");
  BK_ASSERT(tag >= 0);
  return start({.op = Op::recv, .out = out, .peer = from, .world_peer = world_rank(from), .tag = tag, .where = where});
}

void Communicator::barrier(Site where) {
  uint8_t here = 0;
  Stream host;
  all_reduce(host, {&here, DType::u8, {1}}, Reduce::max, where)->wait(host);
}

void wait_on_host(Communicator::Pending work) {
  Stream host;
  work->wait(host);
}

}  // namespace birkhoff
