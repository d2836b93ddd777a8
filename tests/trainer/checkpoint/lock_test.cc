// One run per directory: who holds it is named, and what the dead left is taken over.
#include <chrono>
#include <csignal>

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string host() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

// The error, or the notice behind "locked: ".
std::string try_lock(const std::filesystem::path& directory) {
  std::string notice;
  try {
    const DirectoryLock lock(directory, notice);
    return "locked: " + notice;
  } catch (const UserError& e) {
    return e.what();
  }
}

// A process that holds the lock until it is killed.
class Holder {
 public:
  explicit Holder(const std::filesystem::path& directory) {
    int ready[2];
    if (::pipe(ready) != 0) throw BugError("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      std::string notice;
      const DirectoryLock lock(directory, notice);
      if (::write(ready[1], "x", 1) == 1) ::pause();
      ::_exit(0);
    }
    ::close(ready[1]);
    char byte;
    if (::read(ready[0], &byte, 1) != 1) throw BugError("the holder did not lock");
    ::close(ready[0]);
  }
  ~Holder() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  int pid() const { return pid_; }

 private:
  int pid_ = 0;
};

void set_age(const std::filesystem::path& path, int seconds) {
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(seconds));
}

TEST(DirectoryLock, RefusesASecondProcessAndNamesTheFirst) {
  const TempDir dir;
  Holder holder(dir.path());
  EXPECT_THAT(try_lock(dir.path()),
              AllOf(HasSubstr(concat(dir.path().string(), " is in use by process ", holder.pid(), " on ", host())),
                    HasSubstr("choose another run.dir")));
  set_age(dir / ".lock", 3600);
  EXPECT_THAT(try_lock(dir.path()), HasSubstr("is in use by process ")) << "a slow step is not a death";
}

TEST(DirectoryLock, TakesOverTheLockOfADeadProcess) {
  const TempDir dir;
  Holder holder(dir.path());
  const int pid = holder.pid();
  holder.kill();
  EXPECT_TRUE(std::filesystem::exists(dir / ".lock"));
  EXPECT_EQ(try_lock(dir.path()),
            concat("locked: the lock of process ", pid, " on ", host(), ", which has ended, was taken over"));
  EXPECT_EQ(try_lock(dir.path()), "locked: ");
}

TEST(DirectoryLock, WaitsForTheAgeOfAnotherHostsLock) {
  const TempDir dir;
  write_file(dir / ".lock", "elsewhere 17\n");
  set_age(dir / ".lock", 60);
  EXPECT_THAT(try_lock(dir.path()), AllOf(HasSubstr("was locked by process 17 on elsewhere, last seen 60 s ago"),
                                          HasSubstr("free after 120 s")));
  EXPECT_EQ(read_file(dir / ".lock"), "elsewhere 17\n") << "a refusal leaves the owner's name";
  set_age(dir / ".lock", 121);
  EXPECT_EQ(try_lock(dir.path()), "locked: the lock of process 17 on elsewhere, which has ended, was taken over");
}

TEST(DirectoryLock, RefreshingKeepsItYoung) {
  const TempDir dir;
  std::string notice;
  DirectoryLock lock(dir.path(), notice);
  set_age(dir / ".lock", 100);
  lock.refresh();
  EXPECT_LT(std::filesystem::file_time_type::clock::now() - std::filesystem::last_write_time(dir / ".lock"),
            std::chrono::seconds(30));
}

TEST(DirectoryLock, IsGoneAfterwards) {
  const TempDir dir;
  EXPECT_EQ(try_lock(dir.path()), "locked: ");
  EXPECT_FALSE(std::filesystem::exists(dir / ".lock"));
}

TEST(DirectoryLock, ADirectoryThatCannotBeWrittenIsFoundAtOnce) {
  EXPECT_THAT(try_lock("/proc"), HasSubstr("/proc cannot be written: "));
}

}  // namespace
}  // namespace birkhoff
