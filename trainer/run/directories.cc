#include "trainer/run/directories.h"

#include <filesystem>

#include "data/file/folder.h"
#include "data/file/regular_file.h"
#include "kernels/core/error.h"
#include "parallel/comm/agree.h"

namespace birkhoff {

namespace fs = std::filesystem;

RunDirectories::RunDirectories(Communicator& world, const Config& config, std::function<void(const std::string&)> say)
    : say_(std::move(say)) {
  agree(world, [&] {
    if (world.rank() != 0) return;
    hold(config.run.dir, "run.dir");
    std::error_code different;
    if (!fs::equivalent(config.run.dir, config.checkpoint.dir, different)) {
      hold(config.checkpoint.dir, "checkpoint.dir");
    }
  });
}

void RunDirectories::hold(const std::string& directory, const std::string& setting) {
  try {
    make_folder(directory);
  } catch (const IoError& e) {
    throw UserError(concat(e.what(), ". Choose another ", setting));
  }
  DirectoryLock::Options options;
  options.setting = setting;
  options.say = say_;
  locks_.push_back(std::make_unique<DirectoryLock>(directory, std::move(options)));
}

}  // namespace birkhoff
