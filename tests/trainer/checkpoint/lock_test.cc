// Only one run may use a directory: the error names the process that holds it, and the lock of a dead process is taken
// over.
#include <chrono>
#include <csignal>
#include <thread>

#include <gmock/gmock.h>
#include <sys/stat.h>
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

// Returns the error, or "locked" followed by what was logged.
std::string try_lock(const std::filesystem::path& directory, double stale_after_s = 120,
                     const std::string& setting = "run.dir", double wait_s = 0) {
  std::string said;
  DirectoryLock::Options options;
  options.setting = setting;
  options.log = [&](const std::string& line) { said += ": " + line; };
  options.stale_after_s = stale_after_s;
  options.wait_s = wait_s;
  try {
    const DirectoryLock lock(directory, options);
    return "locked" + said;
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
      const DirectoryLock lock(directory, {});
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
  EXPECT_THAT(try_lock(dir.path()), HasSubstr("is in use by process ")) << "an old lock of a living process";
}

TEST(DirectoryLock, TakesOverTheLockOfADeadProcess) {
  const TempDir dir;
  Holder holder(dir.path());
  const int pid = holder.pid();
  holder.kill();
  EXPECT_TRUE(std::filesystem::exists(dir / ".lock"));
  EXPECT_EQ(try_lock(dir.path()),
            concat("locked: the lock of process ", pid, " on ", host(), ", which has ended, was taken over"));
  EXPECT_EQ(try_lock(dir.path()), "locked");
}

// The ranks of a killed run take a moment to end.
TEST(DirectoryLock, WaitsForAProcessOfThisHostThatIsAboutToEnd) {
  const TempDir dir;
  Holder holder(dir.path());
  const int pid = holder.pid();
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    holder.kill();
  });
  EXPECT_EQ(try_lock(dir.path(), 120, "run.dir", 10),
            concat("locked: ", dir.path().string(), " is in use by process ", pid, " on ", host(),
                   ": waiting up to 10 s for it to end: the lock of process ", pid, " on ", host(),
                   ", which has ended, was taken over"));
  end.join();
}

TEST(DirectoryLock, WaitsForNoLongerThanItSays) {
  const TempDir dir;
  Holder holder(dir.path());
  EXPECT_THAT(try_lock(dir.path(), 120, "run.dir", 0.3), HasSubstr(". Two runs cannot share a directory"));
}

// A lock is a regular file of Birkhoff's own. The target of a link and a file of another program are not overwritten,
// and a pipe is not waited for.
TEST(DirectoryLock, AForeignFileUnderItsNameIsRefusedAndKept) {
  const TempDir dir;
  write_file(dir / "target", "precious");
  std::filesystem::create_symlink(dir / "target", dir / ".lock");
  EXPECT_THAT(try_lock(dir.path()), AllOf(HasSubstr("/.lock is a symbolic link, but runs keep their lock in a file of "
                                                    "this name. Remove it, or choose another run.dir")));
  std::filesystem::remove(dir / ".lock");
  std::filesystem::create_symlink(dir / "nowhere", dir / ".lock");
  EXPECT_THAT(try_lock(dir.path()), HasSubstr("is a symbolic link"));
  EXPECT_FALSE(std::filesystem::exists(dir / "nowhere"));
  std::filesystem::remove(dir / ".lock");
  ASSERT_EQ(::mkfifo((dir / ".lock").c_str(), 0600), 0);
  EXPECT_THAT(try_lock(dir.path()), HasSubstr("is not a regular file"));
  std::filesystem::remove(dir / ".lock");
  std::filesystem::create_directory(dir / ".lock");
  EXPECT_THAT(try_lock(dir.path()), HasSubstr("is not a regular file"));
  std::filesystem::remove(dir / ".lock");
  for (const std::string& text : {std::string("my notes\n"), "node 17\n" + std::string(600, 'x')}) {
    write_file(dir / ".lock", text);
    EXPECT_THAT(try_lock(dir.path()), HasSubstr("is not a lock of Birkhoff"));
    EXPECT_EQ(read_file(dir / ".lock"), text);
  }
  EXPECT_EQ(read_file(dir / "target"), "precious");
  write_file(dir / ".lock", std::string(12, '\0'));
  EXPECT_EQ(try_lock(dir.path()), "locked") << "a crash of the machine may leave such a file";
}

TEST(DirectoryLock, AnotherHostsLockIsTakenOverOnceItIsTooOld) {
  const TempDir dir;
  write_file(dir / ".lock", "elsewhere 17\n");
  set_age(dir / ".lock", 118);
  const std::string said = try_lock(dir.path());
  EXPECT_THAT(said, AllOf(HasSubstr("was locked by process 17 on elsewhere, last seen 118 s ago: waiting up to 2 s"),
                          HasSubstr("the lock of process 17 on elsewhere, which has ended, was taken over")));
  write_file(dir / ".lock", "elsewhere 17\n");
  set_age(dir / ".lock", 121);
  EXPECT_EQ(try_lock(dir.path()), "locked: the lock of process 17 on elsewhere, which has ended, was taken over");
}

TEST(DirectoryLock, AnotherHostsLockThatIsRefreshedIsRefused) {
  const TempDir dir;
  write_file(dir / ".lock", "elsewhere 17\n");
  set_age(dir / ".lock", 60);
  std::thread owner([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    set_age(dir / ".lock", 0);
  });
  EXPECT_THAT(try_lock(dir.path()), HasSubstr("is in use by process 17 on elsewhere. Two runs"));
  owner.join();
  EXPECT_EQ(read_file(dir / ".lock"), "elsewhere 17\n") << "a refusal leaves the owner's name";
}

// The other host's clock is ahead of ours, so the age of the lock says nothing. The start has to observe whether the
// lock is refreshed.
TEST(DirectoryLock, AnotherHostsClockDoesNotKeepItsLockAlive) {
  const TempDir dir;
  write_file(dir / ".lock", "elsewhere 17\n");
  set_age(dir / ".lock", -3600);
  EXPECT_THAT(try_lock(dir.path(), 0.5), HasSubstr("which has ended, was taken over"));
}

TEST(DirectoryLock, IsRefreshedInTheBackground) {
  const TempDir dir;
  DirectoryLock::Options options;
  options.refresh_every_s = 0.05;
  const DirectoryLock lock(dir.path(), options);
  set_age(dir / ".lock", 100);
  const auto young = [&] {
    const auto changed = std::filesystem::last_write_time(dir / ".lock");
    return std::filesystem::file_time_type::clock::now() - changed < std::chrono::seconds(50);
  };
  for (int i = 0; i < 500 && !young(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(young());
}

TEST(DirectoryLock, IsGoneAfterwards) {
  const TempDir dir;
  EXPECT_EQ(try_lock(dir.path()), "locked");
  EXPECT_FALSE(std::filesystem::exists(dir / ".lock"));
}

// Imitates a process that was suspended for so long that a run on another host took over.
TEST(DirectoryLock, LeavesALockAloneThatAnotherHostTookOver) {
  const TempDir dir;
  {
    DirectoryLock::Options options;
    options.refresh_every_s = 0.02;
    const DirectoryLock lock(dir.path(), options);
    write_file(dir / ".lock", "elsewhere 17\n");
    set_age(dir / ".lock", 100);
    const auto before = std::filesystem::last_write_time(dir / ".lock");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_EQ(std::filesystem::last_write_time(dir / ".lock"), before)
        << "a lock of another host must not be refreshed";
  }
  EXPECT_EQ(read_file(dir / ".lock"), "elsewhere 17\n");
}

TEST(DirectoryLock, ARefusalNamesTheSettingToChange) {
  EXPECT_THAT(try_lock("/proc", 120, "checkpoint.dir"), HasSubstr("Choose another checkpoint.dir"));
}

TEST(DirectoryLock, ADirectoryThatCannotBeWrittenIsFoundAtOnce) {
  EXPECT_THAT(try_lock("/proc"), HasSubstr("/proc cannot be written: "));
}

}  // namespace
}  // namespace birkhoff
