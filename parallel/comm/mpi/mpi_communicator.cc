#include "parallel/comm/mpi/mpi_communicator.h"

#include <climits>
#include <cstdlib>
#include <exception>
#include <optional>
#include <vector>

#include "kernels/core/error.h"
#include "parallel/comm/mpi/host_board.h"
#include "parallel/comm/mpi/hosts.h"
#include "parallel/comm/mpi/message_exchange.h"
#include "parallel/comm/mpi/mpi_check.h"

namespace birkhoff {
namespace {

MPI_Datatype type_of_size(size_t bytes) {
  if (bytes == 1) return MPI_UINT8_T;
  if (bytes == 2) return MPI_UINT16_T;
  return bytes == 4 ? MPI_UINT32_T : MPI_UINT64_T;
}

// One send or recv. It is polled with everything else of its rank, because MPI moves a large message only while both
// ends are in MPI calls.
class MessageWork final : public Work, public Pollable {
 public:
  MessageWork(std::shared_ptr<Engine> engine, Operation operation, std::string group, MPI_Comm comm);
  ~MessageWork() override;
  void poll() noexcept override;
  bool done() override;
  void wait(Stream&) override {
    for (Backoff backoff; !done();) backoff.pause();
  }

 private:
  void test();

  std::shared_ptr<Engine> engine_;
  Operation operation_;
  std::string group_;
  MPI_Request request_ = MPI_REQUEST_NULL;
  bool over_ = false;
  std::string failure_;
};

MessageWork::MessageWork(std::shared_ptr<Engine> engine, Operation operation, std::string group, MPI_Comm comm)
    : engine_(std::move(engine)), operation_(std::move(operation)), group_(std::move(group)) {
  const Operation& o = operation_;
  BK_ASSERT(o.count() <= INT_MAX, "a message of ", o.count(), " elements");
  const auto count = static_cast<int>(o.count());
  const MPI_Datatype type = type_of_size(size_of(o.dtype()));
  const std::lock_guard lock(engine_->mutex());
  if (o.op == Op::send) {
    check(MPI_Isend(o.in.data, count, type, o.peer, o.tag, comm, &request_));
  } else {
    check(MPI_Irecv(o.out.data, count, type, o.peer, o.tag, comm, &request_));
  }
  engine_->add(*this);
}

MessageWork::~MessageWork() {
  const std::lock_guard lock(engine_->mutex());
  engine_->remove(*this);
  if (request_ == MPI_REQUEST_NULL) return;
  MPI_Cancel(&request_);
  MPI_Request_free(&request_);
}

void MessageWork::test() {
  int flag = 0, received = 0;
  MPI_Status status;
  const int code = MPI_Test(&request_, &flag, &status);
  if (code == MPI_SUCCESS && !flag) return;
  over_ = true;
  const bool recv = operation_.op == Op::recv;
  if (recv && code == MPI_SUCCESS) check(MPI_Get_count(&status, type_of_size(size_of(operation_.dtype())), &received));
  int error_class = MPI_SUCCESS;
  if (code != MPI_SUCCESS) MPI_Error_class(code, &error_class);
  if (error_class == MPI_ERR_TRUNCATE || (code == MPI_SUCCESS && recv && received != operation_.count())) {
    failure_ = concat("the ranks of group ", group_, " disagree: ", operation_, " got a message of ",
                      code == MPI_SUCCESS ? concat(received, " elements") : "more elements");
    return;
  }
  check(code);
}

void MessageWork::poll() noexcept {
  if (over_) return;
  try {
    test();
  } catch (const std::exception& e) {
    failure_ = e.what();
  }
}

bool MessageWork::done() {
  engine_->poll();
  const std::lock_guard lock(engine_->mutex());
  if (!failure_.empty()) throw CommError(failure_);
  return over_;
}

class MpiCommunicator final : public GroupCommunicator {
 public:
  MpiCommunicator(MPI_Comm comm, Transport transport, std::shared_ptr<Engine> engine, std::unique_ptr<Carrier> carrier)
      : GroupCommunicator(std::move(engine), std::move(carrier)), comm_(comm), transport_(transport) {}
  // Freeing is collective, so it must not happen while this rank unwinds, perhaps alone.
  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() == 0 && !queue().failed()) MPI_Comm_free(&comm_);
  }

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    MPI_Comm part = MPI_COMM_NULL;
    check(MPI_Comm_split(comm_, color, key, &part));
    return make_mpi_communicator(part, transport_, engine(), name, world_rank(rank()));
  }
  // With a single rank there is nobody to release; the caller exits with the code itself.
  void abort(const std::string&, int exit_code) noexcept override {
    int ranks = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks == 1) return;
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }
  using GroupCommunicator::set_local;

 private:
  Pending start_message(const Operation& operation) override {
    return std::make_unique<MessageWork>(engine(), operation, name(), comm_);
  }

  MPI_Comm comm_;
  Transport transport_;
};

// A board for the ranks of `host`; nullopt, on every rank of `comm`, if some host cannot provide one.
std::optional<Board> board_of_host(MPI_Comm comm, MPI_Comm host) {
  const bool alone = size_of_comm(host) == 1;
  auto board = alone ? make_heap_board(1, BlockPath::direct) : make_host_board(host);
  int everywhere = board.has_value();
  check(MPI_Allreduce(MPI_IN_PLACE, &everywhere, 1, MPI_INT, MPI_MIN, comm));
  if (!everywhere) return std::nullopt;
  return board;
}

std::unique_ptr<Exchange> messages_among(MPI_Comm comm) {
  MPI_Comm own = MPI_COMM_NULL;
  check(MPI_Comm_dup(comm, &own));
  return make_message_exchange(own);
}

// Collective. `world_rank` is that of this rank.
GroupNames names_of(MPI_Comm comm, const std::string& group, int world_rank) {
  GroupNames names{group, std::vector<int>(static_cast<size_t>(size_of_comm(comm)))};
  check(MPI_Allgather(&world_rank, 1, MPI_INT, names.world_ranks.data(), 1, MPI_INT, comm));
  return names;
}

std::unique_ptr<Carrier> carrier_for(MPI_Comm comm, MPI_Comm host, Transport transport, GroupNames names) {
  const auto sizes = sizes_of_hosts(comm, host);
  const size_t ranks = static_cast<size_t>(size_of_comm(comm));
  // Shared memory helps only if some host has several ranks. A world of one uses a board on the heap.
  const bool shared =
      sizes && (transport != Transport::messages || ranks == 1) && (sizes->size() < ranks || ranks == 1);
  auto board = shared ? board_of_host(comm, host) : std::nullopt;
  if (shared && !board) note_group_without_host_memory(names.group);
  if (!board) return make_flat_carrier(messages_among(comm), std::move(names));
  HostExchanges e;
  e.host = make_memory_exchange(std::move(*board), rank_in(host));
  if (sizes->size() == 1) return make_flat_carrier(std::move(e.host), std::move(names));
  MPI_Comm leaders = MPI_COMM_NULL;
  check(MPI_Comm_split(comm, rank_in(host) == 0 ? 0 : MPI_UNDEFINED, rank_in(comm), &leaders));
  if (leaders != MPI_COMM_NULL) {
    check(MPI_Comm_set_errhandler(leaders, MPI_ERRORS_RETURN));
    e.leaders = make_message_exchange(leaders);
  }
  e.all = messages_among(comm);
  e.host_sizes = *sizes;
  e.names = std::move(names);
  return make_host_carrier(std::move(e));
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, Transport transport, std::shared_ptr<Engine> engine,
                                                    const std::string& name, std::optional<int> world_rank) {
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
  MPI_Comm place = ranks_of_host(comm, Transport::automatic), host = ranks_of_host(comm, transport);
  const int local_rank = rank_in(place), local_size = size_of_comm(place);
  const int number = world_rank.value_or(rank_in(comm));
  auto carrier = carrier_for(comm, host, transport, names_of(comm, name, number));
  check(MPI_Comm_free(&place));
  check(MPI_Comm_free(&host));
  auto made = std::make_unique<MpiCommunicator>(comm, transport, std::move(engine), std::move(carrier));
  made->set_local(local_rank, local_size);
  return made;
}

}  // namespace birkhoff
