#include "parallel/comm/agree.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <numeric>
#include <vector>

#include "kernels/core/error.h"

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

std::string broadcast_text(Communicator& comm, std::string text, int root) {
  auto length = static_cast<int64_t>(text.size());
  wait_on_host(comm.broadcast({&length, DType::i64, {1}}, root));
  text.resize(static_cast<size_t>(length));
  wait_on_host(comm.broadcast({text.data(), DType::u8, {length}}, root));
  return text;
}

void agree_on(Communicator& comm, const Report& mine) {
  const int size = comm.size();
  int32_t first = mine.outcome == Outcome::fine ? size : comm.rank();
  wait_on_host(comm.all_reduce({&first, DType::i32, {1}}, Reduce::min));
  if (first == size) return;
  auto outcome = static_cast<uint8_t>(mine.outcome);
  wait_on_host(comm.broadcast({&outcome, DType::u8, {1}}, first));
  const std::string message = broadcast_text(comm, mine.message, first);
  raise(static_cast<Outcome>(outcome), size == 1 ? message : concat("rank ", first, ": ", message));
}

}  // namespace

bool is_agreed(const std::exception& error) { return dynamic_cast<const Agreed*>(&error) != nullptr; }

void agree(Communicator& comm, const std::function<void()>& body) { agree_on(comm, outcome_of(body)); }

void agree(Communicator& comm, bool ok, const std::string& message) {
  agree_on(comm, ok ? Report{} : Report{Outcome::user, message});
}

void require_same(Communicator& comm, const std::string& what, const std::string& text) {
  const std::string expected = broadcast_text(comm, text, 0);
  agree(comm, text == expected, concat(what, " differs: '", text, "' here, '", expected, "' on rank 0"));
}

std::vector<std::string> gather_texts(Communicator& comm, const std::string& text) {
  const auto size = static_cast<size_t>(comm.size());
  std::vector<int64_t> lengths(size, 0);
  lengths[static_cast<size_t>(comm.rank())] = static_cast<int64_t>(text.size());
  wait_on_host(comm.all_reduce({lengths.data(), DType::i64, {comm.size()}}));
  const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  std::string all(static_cast<size_t>(total), ' '), own = text;
  wait_on_host(comm.all_gather_v({all.data(), DType::u8, {total}},
                                 {own.data(), DType::u8, {lengths[static_cast<size_t>(comm.rank())]}}, lengths));
  std::vector<std::string> texts;
  size_t begin = 0;
  for (const int64_t length : lengths) {
    texts.push_back(all.substr(begin, static_cast<size_t>(length)));
    begin += static_cast<size_t>(length);
  }
  return texts;
}

void throw_on_all(const std::string& message) { raise(Outcome::comm, message); }

}  // namespace birkhoff
