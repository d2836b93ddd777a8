#include "parallel/comm/agree.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/core/error.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

enum class Outcome : uint8_t { fine, user, data, comm, memory, bug };

struct Report {
  Outcome outcome = Outcome::fine;
  std::string message;
};

template <class E>
class AgreedError final : public E, public Agreed {
 public:
  using E::E;
};

class AgreedBadAlloc final : public std::bad_alloc, public Agreed {};

Report outcome_of(const std::function<void()>& body) {
  try {
    body();
    return {};
  } catch (const UserError& e) {
    return {Outcome::user, e.what()};
  } catch (const DataError& e) {
    return {Outcome::data, e.what()};
  } catch (const CommError& e) {
    return {Outcome::comm, e.what()};
  } catch (const std::bad_alloc& e) {
    return {Outcome::memory, e.what()};
  } catch (const std::exception& e) {
    return {Outcome::bug, e.what()};
  }
}

[[noreturn]] void raise(Outcome outcome, const std::string& message) {
  if (outcome == Outcome::user) throw AgreedError<UserError>(message);
  if (outcome == Outcome::data) throw AgreedError<DataError>(message);
  if (outcome == Outcome::comm) throw AgreedError<CommError>(message);
  if (outcome == Outcome::memory) throw AgreedBadAlloc();
  throw AgreedError<BugError>(message);
}

void agree_on(Communicator& comm, const Report& mine) {
  const int size = comm.size();
  const int32_t first = all_reduce_on_host(comm, mine.outcome == Outcome::fine ? size : comm.rank(), Reduce::min);
  if (first == size) return;
  const uint8_t outcome = broadcast_on_host(comm, static_cast<uint8_t>(mine.outcome), first);
  const std::string message = broadcast_on_host(comm, mine.message, first);
  const bool same = static_cast<uint8_t>(mine.outcome) == outcome && mine.message == message;
  const bool of_all = all_reduce_on_host(comm, int32_t{same}, Reduce::min) == 1;
  raise(static_cast<Outcome>(outcome), of_all ? message : concat("rank ", comm.world_rank(first), ": ", message));
}

}  // namespace

bool is_agreed(const std::exception& error) { return dynamic_cast<const Agreed*>(&error) != nullptr; }

void agree(Communicator& comm, const std::function<void()>& body) { agree_on(comm, outcome_of(body)); }

void agree(Communicator& comm, bool ok, const std::string& message) {
  agree_on(comm, ok ? Report{} : Report{Outcome::user, message});
}

void require_same(Communicator& comm, const std::string& what, const std::string& text) {
  const std::string expected = broadcast_on_host(comm, text, 0);
  agree(comm, text == expected,
        concat(what, " differs: '", text, "' here, '", expected, "' on rank ", comm.world_rank(0)));
}

std::vector<std::string> gather_texts(Communicator& comm, const std::string& text) {
  const std::vector<int64_t> lengths = all_gather_on_host(comm, static_cast<int64_t>(text.size()));
  const std::vector<char> all = all_gather_v_on_host(comm, std::span(text.data(), text.size()), lengths);
  std::vector<std::string> texts;
  auto begin = all.begin();
  for (const int64_t length : lengths) {
    texts.emplace_back(begin, begin + length);
    begin += length;
  }
  return texts;
}

void throw_on_all(const std::string& message) { raise(Outcome::comm, message); }

}  // namespace birkhoff
