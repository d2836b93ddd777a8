#include "parallel/comm/mpi/host_board.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <random>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernels/core/process_tag.h"
#include "parallel/comm/mpi/host_memory.h"
#include "parallel/comm/mpi/mpi_check.h"

namespace birkhoff {
namespace {

using Name = std::array<char, 256>;

Name fresh_name() {
  Name name{};
  std::random_device random;
  std::snprintf(name.data(), name.size(), "/birkhoff-%08x%08x.%s", random(), random(), process_tag().c_str());
  return name;
}

// Version 0.1 and earlier named a board "birkhoff-PID-RANDOM".
bool is_leftover(const std::string& name) {
  if (!name.starts_with("birkhoff-")) return false;
  int pid = 0, end = 0;
  const bool old =
      std::sscanf(name.c_str(), "birkhoff-%9d-%*16[0-9a-f]%n", &pid, &end) == 1 && end == static_cast<int>(name.size());
  return old ? !is_alive(pid) : has_ended(name);
}

// Removes the shared memory of ranks that were killed before they could unlink its name.
void remove_leftovers() {
  std::vector<std::string> leftovers;
  std::error_code error;  // Linux lists shared memory here; on other systems leftovers stay
  for (std::filesystem::directory_iterator entry("/dev/shm", error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_leftover(entry->path().filename().string())) leftovers.push_back(entry->path().filename().string());
  }
  for (const std::string& name : leftovers) shm_unlink(("/" + name).c_str());
}

// Creates (with O_CREAT) or opens the shared memory, and maps it. Returns null on failure. Creating reserves the pages
// at once: if /dev/shm is full, we must learn it here, not by a SIGBUS later.
std::shared_ptr<std::byte> map(const Name& name, size_t bytes, int flags) {
  const int file = shm_open(name.data(), flags, 0600);
  if (file < 0) return nullptr;
  const bool reserved = (flags & O_CREAT) == 0 || posix_fallocate(file, 0, static_cast<off_t>(bytes)) == 0;
  void* memory = reserved ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  close(file);
  if (memory == MAP_FAILED) return nullptr;
  return {static_cast<std::byte*>(memory), [bytes](std::byte* p) { munmap(p, bytes); }};
}

// This rank's share of a board: its part of the limit, taken while the share exists.
class Share {
 public:
  explicit Share(size_t bytes) : bytes_(static_cast<int64_t>(bytes)), with_this_(taken_ += bytes_) {}
  ~Share() { taken_ -= bytes_; }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  bool fits() const { return with_this_ <= kMostHostMemory_bytes; }

 private:
  static inline std::atomic<int64_t> taken_{0};
  int64_t bytes_, with_this_;
};

// The memory together with the share that it takes.
std::shared_ptr<std::byte> with_share(std::shared_ptr<std::byte> memory, std::shared_ptr<Share> share) {
  auto* bytes = memory.get();
  return {bytes, [memory = std::move(memory), share = std::move(share)](std::byte*) {}};
}

std::mutex names_mutex;
std::vector<std::string>& names_without_memory() {
  static std::vector<std::string> names;
  return names;
}

// Whether every rank of `comm` may read the memory of the others' processes; the system may forbid it, as in
// containers. The same on all ranks. Collective.
bool can_read_each_other(MPI_Comm comm, int size) {
  struct Probe {
    uint64_t value, address;
    int64_t process;
  };
  static const uint64_t value = std::random_device()() | 1u;
  const Probe mine{value, reinterpret_cast<uint64_t>(&value), getpid()};
  std::vector<Probe> probes(static_cast<size_t>(size));
  check(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, probes.data(), sizeof mine, MPI_BYTE, comm));
  int can = 1;
  for (const Probe& p : probes) {
    uint64_t seen = 0;
    const iovec local{&seen, sizeof seen}, remote{reinterpret_cast<void*>(p.address), sizeof seen};
    const ssize_t bytes = process_vm_readv(static_cast<pid_t>(p.process), &local, 1, &remote, 1, 0);
    can = can && bytes == static_cast<ssize_t>(sizeof seen) && seen == p.value;
  }
  check(MPI_Allreduce(MPI_IN_PLACE, &can, 1, MPI_INT, MPI_MIN, comm));
  return can;
}

}  // namespace

std::vector<std::string> groups_without_host_memory() {
  const std::lock_guard lock(names_mutex);
  return names_without_memory();
}

void note_group_without_host_memory(const std::string& name) {
  const std::lock_guard lock(names_mutex);
  names_without_memory().push_back(name);
}

std::optional<Board> make_host_board(MPI_Comm comm) {
  const int rank = rank_in(comm), size = size_of_comm(comm);
  const size_t bytes = Board::bytes_for(size, BlockPath::staged);
  const auto share = std::make_shared<Share>(bytes / static_cast<size_t>(size));
  if (rank == 0) remove_leftovers();
  Name name = rank == 0 ? fresh_name() : Name{};
  std::shared_ptr<std::byte> memory;
  if (rank == 0 && share->fits()) memory = map(name, bytes, O_RDWR | O_CREAT | O_EXCL);
  check(MPI_Bcast(name.data(), static_cast<int>(name.size()), MPI_CHAR, 0, comm));
  if (rank != 0 && share->fits()) memory = map(name, bytes, O_RDWR);
  int everywhere = memory != nullptr;
  check(MPI_Allreduce(MPI_IN_PLACE, &everywhere, 1, MPI_INT, MPI_MIN, comm));
  // All ranks have mapped the memory or failed to, so its name is no longer needed.
  if (rank == 0) shm_unlink(name.data());
  if (!everywhere) return std::nullopt;
  const BlockPath path = can_read_each_other(comm, size) ? BlockPath::lent : BlockPath::staged;
  return Board(with_share(std::move(memory), share), size, path);
}

}  // namespace birkhoff
