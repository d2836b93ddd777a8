#include "launch/guard.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "launch/last_words.h"
#include "parallel/comm/agree.h"

namespace birkhoff {
namespace {

// Returns the error if the operating system refused a request (for a file, a folder or a thread), otherwise null. Such
// a refusal is reported as the user's problem and never as a defect of the program, even if the code where it happened
// did not expect it.
const std::system_error* refusal(const std::exception& error) {
  const auto* e = dynamic_cast<const std::system_error*>(&error);
  // std::ios_base::failure is a std::system_error too, but with a category of its own: it stays an internal error.
  const bool system =
      e && (e->code().category() == std::system_category() || e->code().category() == std::generic_category());
  return system ? e : nullptr;
}

ExitCode code_of(const std::exception& error) {
  if (dynamic_cast<const UserError*>(&error)) return ExitCode::user_error;
  if (dynamic_cast<const std::bad_alloc*>(&error)) return ExitCode::user_error;
  if (refusal(error)) return ExitCode::user_error;
  if (dynamic_cast<const DataError*>(&error)) return ExitCode::data_error;
  if (dynamic_cast<const CommError*>(&error)) return ExitCode::comm_error;
  return ExitCode::internal_error;
}

const char* title_of(ExitCode code) {
  switch (code) {
    case ExitCode::user_error:
      return "error";
    case ExitCode::data_error:
      return "data error";
    case ExitCode::comm_error:
      return "communication error";
    default:
      return "internal error, please report it";
  }
}

std::string message_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error))
    return "memory ran out: smaller sizes, fewer ranks or more memory are needed";
  const std::system_error* refused = refusal(error);
  if (!refused) return error.what();
  const std::string reason = refused->code().message();
  const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
  if (!file || file->path1().empty()) return concat("the system refused: ", error.what());
  const std::string other = file->path2().empty() ? "" : concat(" (with ", file->path2().string(), ")");
  return concat(file->path1().string(), other, ": ", reason);
}

// If several ranks meet the same error independently, each of them would print it. Higher ranks wait, so that the
// lowest rank prints first and its abort ends the others within the delay. A rank with a CommError waits another half
// second, because a peer is often lost only as the consequence of an error that this peer is about to report.
void let_lower_ranks_speak(int rank, ExitCode code) {
  const int milliseconds = std::min(rank * 50, 500) + (code == ExitCode::comm_error ? 500 : 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

ExitCode report(Communicator& world, const std::exception& error) {
  const ExitCode code = code_of(error);
  const bool alone = world.size() == 1, agreed = is_agreed(error);
  if (agreed && world.rank() != 0) return code;
  if (!alone && !agreed) let_lower_ranks_speak(world.rank(), code);
  const std::string where = alone || agreed ? "" : concat("[rank ", world.rank(), " of ", world.size(), "] ");
  print_last_words(printable(concat(where, title_of(code), ": ", message_of(error), "\n")));
  if (!alone && !agreed) world.abort(error.what(), static_cast<int>(code));
  return code;
}

}  // namespace

ExitCode guarded(Communicator& world, const std::function<ExitCode()>& body) noexcept {
  try {
    return body();
  } catch (const std::exception& e) {
    return report(world, e);
  }
}

ExitCode guarded(const std::function<ExitCode()>& body) noexcept {
  try {
    return body();
  } catch (const std::exception& e) {
    const ExitCode code = code_of(e);
    std::fprintf(stderr, "%s: %s\n", title_of(code), printable(message_of(e)).c_str());
    return code;
  }
}

}  // namespace birkhoff
