#include "parallel/comm/mpi/message_exchange.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

#include "kernels/core/error.h"
#include "parallel/comm/mpi/mpi_check.h"

namespace birkhoff {
namespace {

// The blocks for all peers take kBuffers_bytes in total, unless one of the two limits on the size of a block prevents
// it. The largest block stays in the caches between its copy to the buffer and MPI's: 16 MiB in blocks of 4 MiB took
// 1.2 to 1.4 times as long over TCP between two processes of a host.
constexpr int64_t kBuffers_bytes = 16 << 20, kLargestBlock_bytes = 512 << 10, kSmallestBlock_bytes = 64 << 10;

constexpr int kStepTag = 0, kFailureTag = 1;

// Whether all requests are over. Tests one after the other, so that those that are over become null.
bool all_over(std::vector<MPI_Request>& requests) {
  bool all = true;
  for (MPI_Request& request : requests) {
    int flag = 1;
    if (request != MPI_REQUEST_NULL) check(MPI_Test(&request, &flag, MPI_STATUS_IGNORE));
    all = all && flag;
  }
  return all;
}

struct Head {
  StepHeader header;
  int64_t bytes;
};

class MessageExchange final : public Exchange {
 public:
  explicit MessageExchange(MPI_Comm comm) : comm_(comm), rank_(rank_in(comm)), size_(size_of_comm(comm)) {
    const auto n = static_cast<size_t>(size_);
    outgoing_.resize(n);
    incoming_.resize(n);
    source_.resize(n);
    sends_.resize(n, MPI_REQUEST_NULL);
    receives_.resize(n, MPI_REQUEST_NULL);
  }
  ~MessageExchange() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int64_t block_bytes() const override {
    return std::clamp<int64_t>(kBuffers_bytes / size_, kSmallestBlock_bytes, kLargestBlock_bytes);
  }
  int64_t common_block_bytes() const override { return block_bytes(); }
  void offer(int to, const void* data, int64_t bytes) override { source_[index(to)] = fill(to, data, bytes); }
  // All peers get the same buffer: the one from this rank to itself, which has no other use.
  void offer_to_all(const void* data, int64_t bytes) override {
    std::fill(source_.begin(), source_.end(), fill(rank_, data, bytes));
  }
  void post(const StepHeader& header) override;
  bool arrived() override;
  Block from(int rank) const override {
    const Head& head = head_of(incoming_[index(rank)]);
    return {head.header, &head + 1, head.bytes};
  }
  void release() override {}
  bool reusable() override;
  bool has_posted(int rank) const override { return receives_[index(rank)] == MPI_REQUEST_NULL; }
  bool has_released(int rank) const override { return sends_[index(rank)] == MPI_REQUEST_NULL; }
  void fail(const std::string& why) noexcept override;

 private:
  using Buffer = std::vector<std::byte>;
  static size_t index(int rank) { return static_cast<size_t>(rank); }
  static const Head& head_of(const Buffer& buffer) { return *reinterpret_cast<const Head*>(buffer.data()); }

  size_t fill(int to, const void* data, int64_t bytes) {
    Buffer& buffer = outgoing_[index(to)];
    buffer.resize(std::max(buffer.size(), sizeof(Head) + static_cast<size_t>(bytes)));
    reinterpret_cast<Head*>(buffer.data())->bytes = bytes;
    if (bytes > 0) std::memcpy(buffer.data() + sizeof(Head), data, static_cast<size_t>(bytes));
    return index(to);
  }
  void throw_if_failed() const {
    if (!failure_.empty()) throw CommError(failure_);
  }
  void receive_failure();

  MPI_Comm comm_;
  int rank_, size_;
  std::vector<Buffer> outgoing_, incoming_;
  std::vector<size_t> source_;  // [rank]: index of the outgoing buffer that goes to it
  std::vector<MPI_Request> sends_, receives_;
  std::string failure_;
};

void MessageExchange::post(const StepHeader& header) {
  const size_t largest = sizeof(Head) + static_cast<size_t>(block_bytes());
  // Receives are posted first, so that a message that arrives from now on finds its buffer and MPI need not store it.
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    Buffer& in = incoming_[index(r)];
    in.resize(largest);
    check(MPI_Irecv(in.data(), static_cast<int>(largest), MPI_BYTE, r, kStepTag, comm_, &receives_[index(r)]));
  }
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    Buffer& out = outgoing_[source_[index(r)]];
    auto& head = *reinterpret_cast<Head*>(out.data());
    head.header = header;
    const auto bytes = static_cast<int>(sizeof(Head) + static_cast<size_t>(head.bytes));
    check(MPI_Isend(out.data(), bytes, MPI_BYTE, r, kStepTag, comm_, &sends_[index(r)]));
  }
}

bool MessageExchange::arrived() {
  throw_if_failed();
  const bool all = all_over(receives_);
  if (!all) receive_failure();
  return all;
}

// Receives the message with which another rank failed this exchange, if there is one. The reason in it may concern
// ranks outside `comm_`, because a HostCarrier that fails in one of its exchanges fails the others too.
void MessageExchange::receive_failure() {
  int flag = 0, bytes = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, kFailureTag, comm_, &flag, &status));
  if (!flag) return;
  check(MPI_Get_count(&status, MPI_CHAR, &bytes));
  std::string why(static_cast<size_t>(bytes), ' ');
  check(MPI_Recv(why.data(), bytes, MPI_CHAR, status.MPI_SOURCE, kFailureTag, comm_, MPI_STATUS_IGNORE));
  failure_ = why;
  throw_if_failed();
}

// Leaks the text on purpose: nobody waits for its delivery, so it must outlive the exchange.
void MessageExchange::fail(const std::string& why) noexcept {
  if (!failure_.empty()) return;
  failure_ = why;
  const auto* text = new std::string(why);
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Isend(text->data(), static_cast<int>(text->size()), MPI_CHAR, r, kFailureTag, comm_, &request);
    if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
  }
}

bool MessageExchange::reusable() {
  throw_if_failed();
  return all_over(sends_);
}

MessageExchange::~MessageExchange() {
  const auto active = [](MPI_Request r) { return r != MPI_REQUEST_NULL; };
  if (std::any_of(sends_.begin(), sends_.end(), active) || std::any_of(receives_.begin(), receives_.end(), active)) {
    // The group failed in the middle of a step. MPI may use the buffers until the process ends, so they are leaked.
    new std::vector<Buffer>(std::move(outgoing_));
    new std::vector<Buffer>(std::move(incoming_));
  } else if (failure_.empty() && std::uncaught_exceptions() == 0) {
    // Freeing is collective, so it must not happen after a failure or while this rank unwinds, perhaps alone.
    MPI_Comm_free(&comm_);
  }
}

}  // namespace

std::unique_ptr<Exchange> make_message_exchange(MPI_Comm comm) { return std::make_unique<MessageExchange>(comm); }

}  // namespace birkhoff
