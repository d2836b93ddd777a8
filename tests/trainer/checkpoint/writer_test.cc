// Saving in the background while training goes on, and disks that fail.
#include "trainer/checkpoint/writer.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <limits>
#include <set>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/clock.h"
#include "tests/support/injected_calls.h"
#include "tests/support/tiny_disk.h"
#include "tests/trainer/checkpoint/injected_save_point.h"
#include "tests/trainer/checkpoint/saves.h"
#include "trainer/checkpoint/save.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

std::string path_of(int fd) {
  char path[4096] = {};
  const ssize_t n = ::readlink(concat("/proc/self/fd/", fd).c_str(), path, sizeof(path) - 1);
  return n < 0 ? "" : path;
}
bool of_rank_1(int fd) { return path_of(fd).find("rank-00001.h5") != std::string::npos; }

std::atomic<int> calls, gate;

ssize_t full_on_rank_1(int fd, const void* data, size_t bytes, off_t offset) {
  if (!of_rank_1(fd) || ++calls < 3) return ::pwrite(fd, data, bytes, offset);
  errno = ENOSPC;
  return -1;
}
ssize_t broken_on_rank_1(int fd, const void* data, size_t bytes, off_t offset) {
  if (!of_rank_1(fd)) return ::pwrite(fd, data, bytes, offset);
  errno = EIO;
  return -1;
}
ssize_t short_on_rank_1(int fd, const void* data, size_t bytes, off_t offset) {
  if (of_rank_1(fd)) ++calls;
  return ::pwrite(fd, data, of_rank_1(fd) ? std::min<size_t>(bytes, 1000) : bytes, offset);
}
// Claims to have written the beginning of the file, where HDF5 keeps the metadata that leads to everything else.
ssize_t lost_on_rank_1(int fd, const void* data, size_t bytes, off_t offset) {
  return of_rank_1(fd) && offset == 0 ? static_cast<ssize_t>(bytes) : ::pwrite(fd, data, bytes, offset);
}
ssize_t full_for_the_manifest(int fd, const void* data, size_t bytes, off_t offset) {
  if (path_of(fd).find("manifest.json") == std::string::npos) return ::pwrite(fd, data, bytes, offset);
  errno = EDQUOT;
  return -1;
}
int unsynced_on_rank_1(int fd) {
  if (!of_rank_1(fd)) return ::fsync(fd);
  errno = EIO;
  return -1;
}

class WriterTest : public testing::Test {
 protected:
  void SetUp() override { restore(); }
  void TearDown() override { restore(); }
  static void restore() {
    inject_pwrite(nullptr);
    inject_fsync(nullptr);
    inject_lseek(nullptr);
    inject_save_point(nullptr);
    calls = gate = 0;
  }

  // Saves step 1, then step 2 under the fault, then step 3 without it. Every rank must report the fault, and the other
  // two saves must be intact.
  void expect_failure(PwriteFn write, FsyncFn sync, const std::string& reason) {
    run_ranks(3, [&](Communicator& comm) {
      RankedState state(comm.rank(), 3, 1);
      CheckpointWriter writer(comm, Device{}, {dir_.path(), 10, true});
      auto save = [&](int64_t step) {
        state.fill(step);
        writer.begin(step, state.visitor(), kAttachments);
        const auto report = writer.finish();
        EXPECT_EQ(report->step, step);
        return *report;
      };
      auto exchange = [&](PwriteFn w, FsyncFn s) {
        comm.barrier();
        if (comm.rank() == 0) inject_pwrite(w), inject_fsync(s);
        comm.barrier();
      };
      EXPECT_TRUE(save(1).saved);
      exchange(write, sync);
      const SaveReport failed = save(2);
      EXPECT_FALSE(failed.saved);
      EXPECT_THAT(failed.error, HasSubstr(reason)) << "rank " << comm.rank();
      comm.barrier();
      if (comm.rank() == 0) {
        EXPECT_FALSE(std::filesystem::exists(dir_ / unfinished_name(2)));
        EXPECT_EQ(verify_checkpoint(dir_ / checkpoint_name(1)).step, 1);
        EXPECT_THAT(list_checkpoints(dir_.path()), testing::SizeIs(1));
      }
      exchange(nullptr, nullptr);
      EXPECT_TRUE(save(3).saved);
    });
    EXPECT_EQ(load_newest(2, dir_.path(), [](int64_t step) { return step; })->manifest.step, 3);
  }

  const TempDir dir_;
};

// Runs in a process of its own, which may not start a thread once its rank runs.
TEST_F(WriterTest, WritesWithoutAThreadWhereTheSystemRefusesOne) {
  std::filesystem::permissions(dir_.path(), std::filesystem::perms::all);
  const pid_t pid = ::fork();
  if (pid == 0) {
    bool saved = false;
    run_ranks(1, [&](Communicator& comm) {
      RankedState state(0, 1, 7);
      CheckpointWriter writer(comm, Device{}, {dir_.path(), 10, true});
      const rlimit none{0, 0};
      // The limit does not apply to root, so become another user.
      if (::setrlimit(RLIMIT_NPROC, &none) != 0 || (::getuid() == 0 && ::setuid(65534) != 0)) return;
      writer.begin(1, state.visitor(), kAttachments);
      saved = writer.finish()->saved;
    });
    ::_exit(saved ? 0 : 1);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(load_newest(1, dir_.path(), [](int64_t) { return 7; })->manifest.step, 1);
}

TEST_F(WriterTest, AFullDiskOfOneRankIsReportedByAllAndTheNextSaveWorks) {
  expect_failure(full_on_rank_1, nullptr,
                 concat("rank 1: ", (dir_ / ".unfinished-step-00000002" / "rank-00001.h5").string(),
                        ": cannot write: No space left on device"));
}

TEST_F(WriterTest, AnInputOutputErrorOfOneRankIsReportedByAll) {
  expect_failure(broken_on_rank_1, nullptr, "rank-00001.h5: cannot write: Input/output error");
}

TEST_F(WriterTest, AFailedSyncOfOneRankIsReportedByAll) {
  expect_failure(nullptr, unsynced_on_rank_1, "rank-00001.h5: cannot sync: Input/output error");
}

TEST_F(WriterTest, AQuotaMetByTheManifestIsReportedByAll) {
  expect_failure(full_for_the_manifest, nullptr, "cannot write: Disk quota exceeded");
}

TEST_F(WriterTest, AFileThatHdf5CannotOpenAgainIsNotReportedAsSaved) {
  expect_failure(lost_on_rank_1, nullptr, "rank-00001.h5: not an HDF5 file");
}

off_t no_holes(int fd, off_t offset, int whence) {
  if (whence != SEEK_DATA) return ::lseek(fd, offset, whence);
  errno = EINVAL;
  return -1;
}

TEST_F(WriterTest, SavesOnASystemThatDoesNotDistinguishHolesFromData) {
  inject_lseek(no_holes);
  save_once(2, dir_.path(), 1, 1);
  inject_lseek(nullptr);
  EXPECT_TRUE(load_newest(2, dir_.path(), [](int64_t) { return 1; }));
}

struct Spoilt {
  std::string tensor;
  int64_t element;
  uint64_t bits;
  std::string named;
};

// Wherever the value is and whichever rank holds it, all ranks report it, nothing is published, and the next save may
// follow.
TEST_F(WriterTest, AStateThatIsNotFiniteIsNamedByAllAndNotSaved) {
  const std::vector<Spoilt> cases{{"model.matrix", 9106, 0x7fc00000, "model.matrix, element [6, 1300], is nan"},
                                  {"model.matrix", 0, 0xff800000, "model.matrix, element [0, 0], is -inf"},
                                  {"model.half", 32, 0x7f80, "model.half, element [32], is inf"},
                                  {"model.scalar", 0, 0x7f800001, "model.scalar, element [], is nan"},
                                  {"model.table", 700, 0xffc0, "model.table, element [233, 1], is -nan"},
                                  {"adamw.m.matrix", 4000, 0x7f800000, "adamw.m.matrix, element [3, 97], is inf"},
                                  {"adamw.v.pair", 1, 0x7ff0000000000000, "adamw.v.pair, element [1], is inf"}};
  save_once(2, dir_.path(), 1, 1);
  for (const Spoilt& s : cases) {
    run_ranks(2, [&](Communicator& comm) {
      RankedState state(comm.rank(), 2, 2);
      collect(state.visitor());  // creates the tensors of the state
      state.spoil(s.tensor, s.element, s.bits);
      CheckpointWriter writer(comm, Device{}, {dir_.path(), 1, true});
      writer.begin(2, state.visitor(), kAttachments);
      const auto report = writer.finish();
      EXPECT_FALSE(report->saved);
      EXPECT_FALSE(report->finite);
      EXPECT_EQ(report->error, "the state is not finite: " + s.named);
    });
    EXPECT_THAT(list_checkpoints(dir_.path()), testing::ElementsAre(1));
    EXPECT_FALSE(std::filesystem::exists(dir_ / unfinished_name(2)));
  }
  run_ranks(2, [&](Communicator& comm) {
    RankedState state(comm.rank(), 2, 2);
    CheckpointWriter writer(comm, Device{}, {dir_.path(), 1, true});
    state.reals[3] = std::numeric_limits<double>::quiet_NaN();
    writer.begin(2, state.visitor(), kAttachments);
    EXPECT_EQ(writer.finish()->error, "the state is not finite: real.3 is nan");
    state.fill(2);
    writer.begin(2, state.visitor(), kAttachments);
    const auto report = writer.finish();
    EXPECT_TRUE(report->saved && report->finite) << report->error;
  });
}

// Every block of a large tensor is checked, up to its last value.
TEST_F(WriterTest, AValueThatIsNotFiniteIsFoundAnywhereInALargeTensor) {
  run_ranks(1, [&](Communicator& comm) {
    std::vector<float> values(600'011, 1.5f);
    CheckpointWriter writer(comm, Device{}, {dir_.path(), 1, true});
    for (const size_t at : {size_t{0}, size_t{262'143}, size_t{262'144}, size_t{300'000}, values.size() - 1}) {
      values[at] = std::numeric_limits<float>::infinity();
      const Tensor whole{values.data(), DType::f32, {static_cast<int64_t>(values.size())}};
      writer.begin(1, [&](StateVisitor& v) { v.replicated("t", whole, Slice::all(whole.shape), comm); }, {});
      EXPECT_THAT(writer.finish()->error, HasSubstr(concat("t, element [", at, "], is inf")));
      values[at] = -3.4e38f;
    }
  });
}

TEST_F(WriterTest, ShortWritesAreContinued) {
  inject_pwrite(short_on_rank_1);
  save_once(2, dir_.path(), 1, 1);
  EXPECT_GT(calls, 10);
  EXPECT_TRUE(load_newest(2, dir_.path(), [](int64_t) { return 1; }));
}

// Everything in the folder must be on disk before the folder gets its name.
std::mutex dirty_mutex;
std::set<std::string> dirty;
std::set<std::string> dirty_at_rename;
ssize_t write_and_mark(int fd, const void* data, size_t bytes, off_t offset) {
  const std::lock_guard lock(dirty_mutex);
  dirty.insert(path_of(fd));
  return ::pwrite(fd, data, bytes, offset);
}
int sync_and_unmark(int fd) {
  const std::lock_guard lock(dirty_mutex);
  dirty.erase(path_of(fd));
  return ::fsync(fd);
}
void watch(SavePoint point, int) {
  const std::lock_guard lock(dirty_mutex);
  if (point != SavePoint::rename) return;
  dirty_at_rename = dirty;
  std::erase_if(dirty_at_rename, [](const std::string& path) { return !std::filesystem::exists(path); });
}

TEST_F(WriterTest, EveryFileIsSyncedBeforeTheFolderGetsItsName) {
  inject_pwrite(write_and_mark);
  inject_fsync(sync_and_unmark);
  inject_save_point(watch);
  dirty_at_rename = {"not reached"};
  save_once(2, dir_.path(), 1, 1);
  EXPECT_THAT(dirty_at_rename, testing::IsEmpty());
}

ssize_t wait_at_the_gate(int fd, const void* data, size_t bytes, off_t offset) {
  while (gate == 0) std::this_thread::sleep_for(1ms);
  return ::pwrite(fd, data, bytes, offset);
}

TEST_F(WriterTest, TrainingMayChangeTheStateAsSoonAsItIsCopied) {
  inject_pwrite(wait_at_the_gate);
  run_ranks(2, [&](Communicator& comm) {
    RankedState state(comm.rank(), 2, 1);
    CheckpointWriter writer(comm, Device{}, {dir_.path(), 10, true});
    writer.begin(1, state.visitor(), {});
    writer.wait_copied();
    EXPECT_FALSE(writer.poll());
    state.fill(2);
    comm.barrier();
    gate = 1;
    const auto report = writer.finish();
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->saved) << report->error;
    EXPECT_GT(report->bytes, 10'000);
    EXPECT_FALSE(writer.finish());
  });
  EXPECT_TRUE(load_newest(1, dir_.path(), [](int64_t) { return 1; }));
}

// Does not end before the gate is open for 200 ms.
ssize_t write_late(int fd, const void* data, size_t bytes, off_t offset) {
  while (gate == 0) std::this_thread::sleep_for(1ms);
  if (calls++ == 0) std::this_thread::sleep_for(200ms);
  return ::pwrite(fd, data, bytes, offset);
}

// The time for which training is blocked is compared with the time that its calls took in this run, however slow the
// machine is. Nothing is written during these calls if the save is in the background.
TEST_F(WriterTest, MeasuresHowLongTrainingWaited) {
  inject_pwrite(write_late);
  run_ranks(1, [&](Communicator& comm) {
    RankedState state(0, 1, 1);
    CheckpointWriter writer(comm, Device{}, {dir_.path(), 10, true});
    const double began = now_s();
    writer.begin(1, state.visitor(), {});
    writer.wait_copied();
    const double waited = now_s() - began;
    gate = 1;
    const auto report = writer.finish();
    EXPECT_LE(report->blocked_s, waited);
    EXPECT_GT(report->write_s, 0.19);
    calls = 0;
    CheckpointWriter waits(comm, Device{}, {dir_.path(), 10, false});
    waits.begin(2, state.visitor(), {});
    EXPECT_GT(waits.poll()->blocked_s, 0.19);
  });
}

std::atomic<int> in_flight, most_in_flight;
void count(SavePoint point, int rank) {
  if (rank != 0) return;
  if (point == SavePoint::data) most_in_flight = std::max<int>(most_in_flight, ++in_flight);
  if (point == SavePoint::published) --in_flight;
}

TEST_F(WriterTest, AtMostOneSaveIsInFlightAndEachIsReportedOnce) {
  in_flight = most_in_flight = 0;
  inject_save_point(count);
  run_ranks(2, [&](Communicator& comm) {
    RankedState state(comm.rank(), 2, 0);
    CheckpointWriter writer(comm, Device{}, {dir_.path(), 10, true});
    std::vector<int64_t> steps;
    for (int64_t step = 1; step <= 5; ++step) {
      writer.begin(step, state.visitor(), {});
      writer.wait_copied();
      state.fill(step);
    }
    for (auto report = writer.finish(); report; report = writer.poll()) steps.push_back(report->step);
    EXPECT_THAT(steps, testing::ElementsAre(1, 2, 3, 4, 5));
  });
  EXPECT_EQ(most_in_flight, 1);
  EXPECT_EQ(load_newest(1, dir_.path(), [](int64_t step) { return step - 1; })->manifest.step, 5);
}

TEST_F(WriterTest, TheDestructorFinishesTheSave) {
  run_ranks(2, [&](Communicator& comm) {
    RankedState state(comm.rank(), 2, 1);
    CheckpointWriter writer(comm, Device{}, {dir_.path(), 10, true});
    writer.begin(1, state.visitor(), {});
  });
  EXPECT_TRUE(load_newest(2, dir_.path(), [](int64_t) { return 1; }));
}

TEST_F(WriterTest, ADirectoryThatIsNotOneIsAFailedSaveOnAllRanks) {
  write_file(dir_ / "file", "x");
  run_ranks(2, [&](Communicator& comm) {
    RankedState state(comm.rank(), 2, 1);
    CheckpointWriter writer(comm, Device{}, {dir_ / "file", 10, true});
    writer.begin(1, state.visitor(), {});
    EXPECT_THAT(writer.finish()->error, AllOf(StartsWith("rank 0: "), HasSubstr("Not a directory")));
  });
}

int open_files() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// The disk becomes full at a later page of the save each time: in HDF5's own writes, the data, the records, the
// manifest.
TEST_F(WriterTest, ADiskThatReallyIsFullCostsNoOlderCheckpoint) {
  const TinyDisk disk;
  const int open_before = open_files();
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  run_ranks(2, [&](Communicator& comm) {
    RankedState state(comm.rank(), 2, 1);
    CheckpointWriter writer(comm, Device{}, {disk.path(), 100, true});
    auto save = [&](int64_t step) {
      writer.begin(step, state.visitor(), kAttachments);
      return *writer.finish();
    };
    EXPECT_TRUE(save(1).saved);
    int failed = 0, saved = 0;
    for (int pages = 0; pages < 44; ++pages) {
      comm.barrier();
      if (comm.rank() == 0) {
        EXPECT_TRUE(disk.leave(pages));
      }
      comm.barrier();
      const SaveReport report = save(2);
      (report.saved ? saved : failed) += 1;
      EXPECT_THAT(report.error, HasSubstr(report.saved ? "" : "No space left on device")) << pages << " pages";
      comm.barrier();
      if (comm.rank() != 0) continue;
      EXPECT_EQ(verify_checkpoint(disk.path() / checkpoint_name(1)).step, 1);
      EXPECT_EQ(list_checkpoints(disk.path()).size(), report.saved ? 2u : 1u);
      std::filesystem::remove_all(disk.path() / checkpoint_name(2));
    }
    EXPECT_GT(failed, 15);
    EXPECT_GT(saved, 3);
    EXPECT_TRUE(save(3).saved);
  });
  EXPECT_EQ(load_newest(3, disk.path(), [](int64_t) { return 1; })->manifest.step, 3);
  EXPECT_EQ(open_files(), open_before) << "a failed save leaves no file open";
}

}  // namespace
}  // namespace birkhoff
