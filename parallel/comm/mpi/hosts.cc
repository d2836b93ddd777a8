#include "parallel/comm/mpi/hosts.h"

#include "parallel/comm/mpi/mpi_check.h"

namespace birkhoff {
namespace {

// The lowest rank of `comm` on the host of each rank.
std::vector<int> first_of_each(MPI_Comm comm, MPI_Comm host) {
  int first = rank_in(comm);
  check(MPI_Bcast(&first, 1, MPI_INT, 0, host));
  std::vector<int> firsts(static_cast<size_t>(size_of_comm(comm)));
  check(MPI_Allgather(&first, 1, MPI_INT, firsts.data(), 1, MPI_INT, comm));
  return firsts;
}

// Pairs of ranks, as a launcher deals them out that gives every host one rank before any host gets its second.
int dealt_host() { return rank_in(MPI_COMM_WORLD) % ((size_of_comm(MPI_COMM_WORLD) + 1) / 2); }

}  // namespace

MPI_Comm ranks_of_host(MPI_Comm comm, Transport transport) {
  MPI_Comm host = MPI_COMM_NULL;
  if (transport == Transport::host_pairs) {
    check(MPI_Comm_split(comm, rank_in(comm) / 2, rank_in(comm), &host));
  } else if (transport == Transport::dealt_pairs) {
    check(MPI_Comm_split(comm, dealt_host(), rank_in(comm), &host));
  } else {
    check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank_in(comm), MPI_INFO_NULL, &host));
  }
  return host;
}

std::optional<std::vector<int>> sizes_of_hosts(MPI_Comm comm, MPI_Comm host) {
  const std::vector<int> firsts = first_of_each(comm, host);
  std::vector<int> sizes;
  for (size_t r = 0; r < firsts.size(); ++r) {
    if (firsts[r] == static_cast<int>(r)) {
      sizes.push_back(0);
    } else if (firsts[r] != firsts[r - 1]) {
      return std::nullopt;
    }
    ++sizes.back();
  }
  return sizes;
}

MPI_Comm world_by_host(Transport transport) {
  MPI_Comm host = ranks_of_host(MPI_COMM_WORLD, transport), world = MPI_COMM_NULL;
  const std::vector<int> firsts = first_of_each(MPI_COMM_WORLD, host);
  check(MPI_Comm_free(&host));
  // MPI orders ranks of equal keys by their old numbers.
  const int key = firsts[static_cast<size_t>(rank_in(MPI_COMM_WORLD))];
  check(MPI_Comm_split(MPI_COMM_WORLD, 0, key, &world));
  return world;
}

}  // namespace birkhoff
