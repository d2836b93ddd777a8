#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/stream.h"
#include "parallel/comm/operation.h"

namespace birkhoff {

// A pending operation.
class Work {
 public:
  virtual ~Work() = default;
  // Orders later work on the stream after the operation. CommError if a peer failed, disagrees or is gone.
  virtual void wait(Stream& stream) = 0;
  // Whether the operation is over; never blocks.
  virtual bool done() = 0;
};

using Counts = std::span<const int64_t>;

// An operation that a rank waits for.
struct Wait {
  std::string text;          // the operation with its number and group, and who is missing
  std::vector<int> missing;  // the ranks of the world that it waits for; empty if they are not known
};

// A fixed group of ranks. Every rank of the group calls the same collectives in the same order.
//
// An operation runs after everything its stream has done so far, and its Work is waited for on a stream. Tensors live
// on the stream's device. For host values use the functions of host_values.h.
// Buffers must stay untouched until the Work has been waited for. Destroying an unfinished collective (because its rank
// unwinds) fails the group; destroying an unfinished send or recv only cancels it. Counts are elements per rank; the
// blocks of the ranks lie in rank order.
// Reductions combine in rank order 0..n-1. If each of several hosts has several consecutive ranks of the group, they
// combine in rank order within each host and then in the order of the hosts (docs/decisions/reductions.md). So every
// backend gives the same bits for the same placement of the ranks.
// Several threads may use a communicator and those split from it at the same time, but only one thread at a time may
// use each of them.
// On the meta device, where tensors have no data, operations complete at once.
class Communicator {
 public:
  using Site = SourceLocation;
  using Pending = std::unique_ptr<Work>;

  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // This rank's number among the ranks of the group on its host, and the number of these ranks.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  // "world" or an axis of a mesh; used in messages and traces.
  virtual const std::string& name() const = 0;
  // The number in the world of a rank of this group. Every message names ranks by these numbers.
  virtual int world_rank(int rank) const = 0;

  Pending all_reduce(Stream& stream, Tensor inout, Reduce reduce = Reduce::sum, Site where = Site::current());
  // `shard` holds counts[rank()] elements; it may be this rank's block of `out`.
  Pending all_gather_v(Stream& stream, Tensor out, Tensor shard, Counts counts, Site where = Site::current());
  // `shard` receives counts[rank()] elements; it may be this rank's block of `in`.
  Pending reduce_scatter_v(Stream& stream, Tensor shard, Tensor in, Counts counts, Reduce reduce = Reduce::sum,
                           Site where = Site::current());
  Pending all_to_all_v(Stream& stream, Tensor out, Counts out_counts, Tensor in, Counts in_counts,
                       Site where = Site::current());
  Pending broadcast(Stream& stream, Tensor inout, int root, Site where = Site::current());
  // A send matches the recv of the other rank that has the same tag; equal tags match in order. A buffer may be empty.
  Pending send(Stream& stream, Tensor in, int to, int tag, Site where = Site::current());
  Pending recv(Stream& stream, Tensor out, int from, int tag, Site where = Site::current());
  // Returns when every rank of the group has called it.
  void barrier(Site where = Site::current());

  // Ranks with the same color form a group, ordered by (key, rank). Collective and blocking.
  virtual std::unique_ptr<Communicator> split(int color, int key, const std::string& name) = 0;
  // Advances the pending operations of this rank in all its groups, without blocking. To be called between ops.
  virtual void progress() = 0;
  // The pending operation of this group that this rank must finish first; without text if there is none. May be called
  // from any thread.
  virtual Wait waiting_for() const = 0;
  // Releases every peer that waits for this rank. If ranks are processes, ends all of them with the exit code.
  virtual void abort(const std::string& why, int exit_code) noexcept = 0;

  // Starts an operation whose arguments have been checked. Called by the functions above and by decorators.
  virtual Pending start(Operation operation) = 0;
};

// Blocks until the result is visible to the host.
void wait_on_host(Communicator::Pending work);

}  // namespace birkhoff
