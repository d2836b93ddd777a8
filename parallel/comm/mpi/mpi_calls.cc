#include "parallel/comm/mpi/mpi_calls.h"

#include <climits>
#include <exception>
#include <vector>

#include <mpi.h>

#include "kernels/core/error.h"
#include "parallel/comm/mpi/mpi_check.h"

namespace birkhoff {
namespace {

int to_int(int64_t count) {
  BK_ASSERT(count <= INT_MAX, count, " elements in one MPI call");
  return static_cast<int>(count);
}

// Counts per rank and where the blocks begin, as MPI takes them.
struct Blocks {
  std::vector<int> counts, begins;

  explicit Blocks(const std::vector<int64_t>& elements) {
    int64_t begin = 0;
    for (const int64_t count : elements) {
      counts.push_back(to_int(count));
      begins.push_back(to_int(begin));
      begin += count;
    }
  }
};

}  // namespace

struct MpiCalls::Group {
  MPI_Comm comm = MPI_COMM_NULL;
};

MpiCalls::MpiCalls(const Communicator& world) : group_(std::make_unique<Group>()) {
  const int size = size_of_comm(MPI_COMM_WORLD);
  BK_CHECK(size == world.size(), "a group of ", world.size(), " ranks is given, but MPI started ", size,
           "; give a group of all ranks");
  check(MPI_Comm_split(MPI_COMM_WORLD, 0, world.rank(), &group_->comm));
  check(MPI_Comm_set_errhandler(group_->comm, MPI_ERRORS_RETURN));
}

// Freeing is collective, so it must not happen while this rank unwinds, perhaps alone.
MpiCalls::~MpiCalls() {
  if (std::uncaught_exceptions() == 0) MPI_Comm_free(&group_->comm);
}

void MpiCalls::run(const Operation& o) {
  BK_ASSERT(o.dtype() == DType::f32 && o.reduce == Reduce::sum, "no MPI call is made for ", o);
  const MPI_Comm comm = group_->comm;
  const Blocks out(o.out_counts), in(o.in_counts);
  switch (o.op) {
    case Op::all_reduce:
      return check(MPI_Allreduce(MPI_IN_PLACE, o.out.data, to_int(o.count()), MPI_FLOAT, MPI_SUM, comm));
    case Op::reduce_scatter_v:
      return check(MPI_Reduce_scatter(o.in.data, o.out.data, in.counts.data(), MPI_FLOAT, MPI_SUM, comm));
    case Op::all_gather_v:
      return check(MPI_Allgatherv(o.in.data, to_int(o.in.count()), MPI_FLOAT, o.out.data, out.counts.data(),
                                  out.begins.data(), MPI_FLOAT, comm));
    case Op::all_to_all_v:
      return check(MPI_Alltoallv(o.in.data, in.counts.data(), in.begins.data(), MPI_FLOAT, o.out.data,
                                 out.counts.data(), out.begins.data(), MPI_FLOAT, comm));
    default:
      throw BugError(concat("no MPI call is made for ", o));
  }
}

}  // namespace birkhoff
