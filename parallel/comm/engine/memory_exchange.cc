#include "parallel/comm/engine/memory_exchange.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include <sys/uio.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "kernels/core/process_tag.h"
#include "parallel/comm/engine/backoff.h"

namespace birkhoff {

struct alignas(64) Board::Control {
  std::atomic<int> failed;  // 0: no; 1: the message is being written; 2: yes
  std::array<char, 1020> why;
};
// Each state has its own cache line, because its rank writes it while other ranks poll the states next to it.
struct alignas(64) Board::RankState {
  std::atomic<uint64_t> posted, released;  // steps
  std::atomic<int> reading;                // whether the rank reads its peers' memory (not if staged)
  std::atomic<int> process;                // its number (lent only)
};
struct Board::Offer {
  uint64_t place = 0;  // an address (direct), or an offset from the start of the board (staged)
  int64_t bytes = 0;
  uint64_t lent = 0;  // whether `place` is an address in the process of the rank that offers
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "counters lie in memory shared by processes");

namespace {
constexpr size_t kLine = 64;
constexpr size_t round_up(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
size_t slot_bytes(int ranks) {
  return round_up(sizeof(StepHeader) + static_cast<size_t>(ranks) * 3 * sizeof(uint64_t));
}
size_t areas_begin(int ranks) {
  return sizeof(Board::Control) + static_cast<size_t>(ranks) * (sizeof(Board::RankState) + 2 * slot_bytes(ranks));
}
}  // namespace

Board::Board(std::shared_ptr<std::byte> memory, int ranks, BlockPath path)
    : memory_(std::move(memory)), ranks_(ranks), path_(path) {}

size_t Board::bytes_for(int ranks, BlockPath path) {
  const size_t areas = path != BlockPath::direct ? 2 * static_cast<size_t>(ranks) * kArea_bytes : 0;
  return areas_begin(ranks) + areas;
}

Board::Control& Board::control() const { return *reinterpret_cast<Control*>(memory_.get()); }
Board::RankState& Board::state(int rank) const {
  return reinterpret_cast<RankState*>(memory_.get() + sizeof(Control))[rank];
}
size_t Board::slot(uint64_t step, int rank) const { return step % 2 * static_cast<size_t>(ranks_) + rank; }
StepHeader& Board::header(uint64_t step, int from) const {
  std::byte* slots = memory_.get() + sizeof(Control) + static_cast<size_t>(ranks_) * sizeof(RankState);
  return *reinterpret_cast<StepHeader*>(slots + slot(step, from) * slot_bytes(ranks_));
}
Board::Offer& Board::offer(uint64_t step, int from, int to) const {
  return reinterpret_cast<Offer*>(&header(step, from) + 1)[to];
}
std::byte* Board::area(uint64_t step, int rank) const {
  return memory_.get() + areas_begin(ranks_) + slot(step, rank) * kArea_bytes;
}

void Board::fail(const std::string& why) const noexcept {
  int expected = 0;
  if (!control().failed.compare_exchange_strong(expected, 1)) return;
  const size_t length = std::min(why.size(), control().why.size() - 1);
  std::memcpy(control().why.data(), why.data(), length);
  control().why[length] = 0;
  control().failed.store(2);
}

void Board::throw_if_failed() const {
  int failed = 0;
  for (Backoff backoff; (failed = control().failed.load()) == 1;) backoff.pause();
  if (failed) throw CommError(control().why.data());
}

namespace {

// Reads `bytes` bytes at an address of another process, which the system copies once.
void read_process(int process, uint64_t address, void* to, int64_t bytes) {
  auto* at = static_cast<std::byte*>(to);
  for (int64_t done = 0; done < bytes;) {
    const auto left = static_cast<size_t>(bytes - done);
    const iovec local{at + done, left}, remote{reinterpret_cast<void*>(address + static_cast<uint64_t>(done)), left};
    const ssize_t read = process_vm_readv(process, &local, 1, &remote, 1, 0);
    if (read <= 0) throw CommError(concat("cannot read the memory of process ", process, ": ", std::strerror(errno)));
    done += read;
  }
}

class MemoryExchange final : public Exchange {
 public:
  MemoryExchange(Board board, int rank) : board_(std::move(board)), rank_(rank) {
    board_.state(rank_).process.store(getpid());
  }

  int rank() const override { return rank_; }
  int size() const override { return board_.ranks(); }
  int64_t block_bytes() const override {
    // A rank offers itself nothing, so the area has room for the others only.
    return direct() ? INT64_MAX : Board::kArea_bytes / std::max(size() - 1, 1) / static_cast<int64_t>(kLine) * kLine;
  }
  int64_t common_block_bytes() const override { return direct() ? INT64_MAX : Board::kArea_bytes; }

  void offer(int to, const void* data, int64_t bytes) override {
    const int slot = to < rank_ ? to : to - 1;
    set_offer(to, place(data, bytes, direct() ? 0 : slot * block_bytes()), bytes);
  }
  void offer_to_all(const void* data, int64_t bytes) override {
    const uint64_t where = place(data, bytes, 0);
    for (int to = 0; to < size(); ++to) set_offer(to, where, bytes);
  }
  bool lends() const override { return board_.path() == BlockPath::lent; }
  void lend(int to, const void* data, int64_t bytes) override {
    board_.offer(step_, rank_, to) = {reinterpret_cast<uint64_t>(data), bytes, 1};
    lending_ = true;
  }
  void post(const StepHeader& header) override {
    board_.header(step_, rank_) = header;
    board_.state(rank_).posted.store(step_, std::memory_order_release);
  }
  bool arrived() override;
  Block from(int rank) const override {
    const Board::Offer& offer = board_.offer(step_, rank, rank_);
    const void* data = direct() ? reinterpret_cast<const void*>(offer.place) : base() + offer.place;
    return {board_.header(step_, rank), offer.lent ? nullptr : data, offer.bytes};
  }
  void copy(int rank, void* to) const override {
    const Board::Offer& offer = board_.offer(step_, rank, rank_);
    if (!offer.lent) return Exchange::copy(rank, to);
    read_process(board_.state(rank).process.load(), offer.place, to, offer.bytes);
  }
  void release() override {
    board_.state(rank_).reading.store(0);
    board_.state(rank_).released.store(step_, std::memory_order_release);
  }
  bool reusable() override;
  bool has_posted(int rank) const override {  // relaxed: only texts of errors depend on it
    return board_.state(rank).posted.load(std::memory_order_relaxed) >=
           board_.state(rank_).posted.load(std::memory_order_relaxed);
  }
  bool has_released(int rank) const override {
    return board_.state(rank).released.load(std::memory_order_relaxed) >= step_;
  }
  void fail(const std::string& why) noexcept override;

 private:
  bool direct() const { return board_.path() == BlockPath::direct; }
  // Whether ranks read memory that is not the board's.
  bool reads_peers() const { return board_.path() != BlockPath::staged; }
  // Whether rank `r` still reads. A process that was killed does not, whatever it has announced.
  bool is_reading(int r) const {
    return board_.state(r).reading.load() && (direct() || is_alive(board_.state(r).process.load()));
  }
  std::byte* base() const { return reinterpret_cast<std::byte*>(&board_.control()); }
  void set_offer(int to, uint64_t where, int64_t bytes) { board_.offer(step_, rank_, to) = {where, bytes, 0}; }
  uint64_t place(const void* data, int64_t bytes, int64_t offset) {
    if (direct()) return reinterpret_cast<uint64_t>(data);
    std::byte* to = board_.area(step_, rank_) + offset;
    if (bytes > 0) std::memcpy(to, data, static_cast<size_t>(bytes));
    return static_cast<uint64_t>(to - base());
  }

  Board board_;
  int rank_;
  uint64_t step_ = 1;
  bool lending_ = false;  // whether this rank lends a block in the current step
};

bool MemoryExchange::arrived() {
  for (int r = 0; r < size(); ++r) {
    if (board_.state(r).posted.load(std::memory_order_acquire) < step_) {
      board_.throw_if_failed();
      return false;
    }
  }
  // The order matters: announce reading first, then check the flag. A rank that fails raises the flag first and then
  // waits for readers, so one of the two always sees the other.
  if (reads_peers()) board_.state(rank_).reading.store(1);
  try {
    board_.throw_if_failed();
  } catch (...) {
    board_.state(rank_).reading.store(0);
    throw;
  }
  return true;
}

bool MemoryExchange::reusable() {
  // Staged blocks were copied into one of two sets of areas, so only direct and lent blocks need to wait for the
  // readers.
  for (int r = 0; (direct() || lending_) && r < size(); ++r) {
    if (board_.state(r).released.load(std::memory_order_acquire) < step_) {
      board_.throw_if_failed();
      return false;
    }
  }
  ++step_;
  lending_ = false;
  return true;
}

void MemoryExchange::fail(const std::string& why) noexcept {
  board_.state(rank_).reading.store(0);
  board_.fail(why);
  for (int r = 0; reads_peers() && r < size(); ++r) {
    for (Backoff backoff; is_reading(r);) backoff.pause();
  }
}

}  // namespace

std::unique_ptr<Exchange> make_memory_exchange(Board board, int rank) {
  return std::make_unique<MemoryExchange>(std::move(board), rank);
}

Board make_heap_board(int ranks, BlockPath path) {
  const size_t bytes = Board::bytes_for(ranks, path);
  constexpr std::align_val_t kAlign{kLine};
  auto* memory = static_cast<std::byte*>(::operator new(bytes, kAlign));
  std::memset(memory, 0, bytes);
  return {std::shared_ptr<std::byte>(memory, [](std::byte* p) { ::operator delete(p, kAlign); }), ranks, path};
}

}  // namespace birkhoff
