#include "trainer/run/named_checkpoint.h"

#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

// Checkpoints of a directory of them, or of a run that keeps them at their usual place.
std::map<int64_t, std::filesystem::path> checkpoints_below(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return {};
  const auto own = find_checkpoints(path);
  return own.empty() ? find_checkpoints(path / "checkpoints") : own;
}

}  // namespace

Found named_checkpoint(Communicator& replicas, const std::string& option, const std::filesystem::path& path) {
  agree(replicas, [&] {
    std::error_code error;
    if (!std::filesystem::exists(path, error))
      throw DataError(concat(option, " ", path.string(), ": ", error ? error.message() : "no such checkpoint",
                             "; expected the folder of a checkpoint, such as RUN/checkpoints/step-00000008"));
    const auto checkpoints = checkpoints_below(path);
    BK_CHECK(checkpoints.empty(), option, " ", path.string(),
             " holds checkpoints, expected one of them; name it, such as ", checkpoints.rbegin()->second.string());
  });
  return require_valid(replicas, path);
}

}  // namespace birkhoff
