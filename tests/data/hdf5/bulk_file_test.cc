#include "data/hdf5/bulk_file.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/process_tag.h"
#include "tests/support/injected_calls.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

int calls;

ssize_t short_and_interrupted(int fd, const void* data, size_t bytes, off_t offset) {
  if (++calls % 2 == 0) {
    errno = EINTR;
    return -1;
  }
  return ::pwrite(fd, data, std::min<size_t>(bytes, 7), offset);
}
ssize_t full_after_three(int fd, const void* data, size_t bytes, off_t offset) {
  if (++calls > 3) {
    errno = ENOSPC;
    return -1;
  }
  return ::pwrite(fd, data, std::min<size_t>(bytes, 7), offset);
}
int broken_fsync(int) {
  errno = EIO;
  return -1;
}

class BulkFileFaults : public testing::Test {
 protected:
  void SetUp() override { calls = 0; }
  void TearDown() override {
    inject_pwrite(nullptr);
    inject_fsync(nullptr);
    inject_lseek(nullptr);
  }
  TempDir dir_;
  const std::string text_ = "the quick brown fox jumps over the lazy dog";
};

TEST_F(BulkFileFaults, ShortAndInterruptedWritesAreContinued) {
  inject_pwrite(short_and_interrupted);
  publish_text(dir_ / "a", text_);
  EXPECT_EQ(read_file(dir_ / "a"), text_);
  EXPECT_GT(calls, 10);
}

TEST_F(BulkFileFaults, AFullDiskIsAnIoErrorAndPublishesNothing) {
  publish_text(dir_ / "a", "before");
  inject_pwrite(full_after_three);
  try {
    publish_text(dir_ / "a", text_);
    FAIL() << "expected an IoError";
  } catch (const IoError& error) {
    EXPECT_TRUE(error.disk_full());
    EXPECT_EQ(error.code(), ENOSPC);
    EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
  }
  EXPECT_EQ(read_file(dir_ / "a"), "before");
}

TEST_F(BulkFileFaults, AFailedSyncPublishesNothing) {
  inject_fsync(broken_fsync);
  EXPECT_THROW(publish_text(dir_ / "a", text_), IoError);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a"));
}

TEST_F(BulkFileFaults, ReadingPastTheEndSaysExpectedAndFound) {
  publish_text(dir_ / "a", text_);
  const BulkFile file = BulkFile::open_to_read(dir_ / "a");
  std::string back(text_.size() + 5, '?');
  file.read(4, back.data(), 5);
  EXPECT_EQ(back.substr(0, 5), "quick");
  try {
    file.read(0, back.data(), back.size());
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("expected 48 bytes at offset 0, found 43"));
  }
}

TEST_F(BulkFileFaults, ASyncThatWasBegunChangesNothingAndHidesNoError) {
  const BulkFile file = BulkFile::create(dir_ / "a");
  file.write(0, text_.data(), text_.size());
  file.begin_sync(0, static_cast<int64_t>(text_.size()));
  file.write(4, "QUICK", 5);
  EXPECT_EQ(read_file(dir_ / "a"), "the QUICK" + text_.substr(9));
  inject_fsync(broken_fsync);
  EXPECT_THROW(file.sync(), IoError);
}

TEST_F(BulkFileFaults, OpeningWhatIsNotThereSaysSo) {
  try {
    BulkFile::open_to_read(dir_ / "none");
    FAIL() << "expected an IoError";
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("none: no such file"));
  }
  EXPECT_THROW(BulkFile::open_to_write(dir_ / "none"), IoError);
}

TEST_F(BulkFileFaults, PublishingLeavesNoTemporaryBehindEvenWhenItFails) {
  publish_text(dir_ / "a", text_);
  inject_pwrite(full_after_three);
  EXPECT_THROW(publish_text(dir_ / "b", text_), IoError);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

off_t no_seek_data(int fd, off_t offset, int whence) {
  if (whence != SEEK_DATA) return ::lseek(fd, offset, whence);
  errno = EINVAL;
  return -1;
}
off_t no_seek_hole(int fd, off_t offset, int whence) {
  if (whence != SEEK_HOLE) return ::lseek(fd, offset, whence);
  errno = EINVAL;
  return -1;
}

// The file has a hole, data far from its beginning, and a hole at the end.
TEST_F(BulkFileFaults, AFileInMemoryIsCopiedWhateverTheSystemReportsAboutHoles) {
  const MemoryFile memory;
  const int64_t island = int64_t{5} << 20, size = island + (int64_t{3} << 20);
  std::filesystem::resize_file(memory.descriptor_path(), static_cast<uintmax_t>(size));
  {
    std::fstream out(memory.descriptor_path(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(island) << text_;
  }
  ASSERT_EQ(memory.bytes(), size);
  for (const LseekFn fn : {LseekFn(nullptr), LseekFn(no_seek_data), LseekFn(no_seek_hole)}) {
    inject_lseek(fn);
    const BulkFile out = BulkFile::create(dir_ / "copy");
    out.reserve(size);
    memory.copy_to(out);
    const std::string copied = read_file(dir_ / "copy");
    ASSERT_EQ(copied.size(), static_cast<size_t>(size));
    EXPECT_EQ(copied.substr(static_cast<size_t>(island), text_.size()), text_);
    EXPECT_EQ(std::count(copied.begin(), copied.end(), '\0'), size - static_cast<int64_t>(text_.size()));
  }
}

TEST_F(BulkFileFaults, WritingFollowsNoSymbolicLink) {
  write_file(dir_ / "target", "precious");
  std::filesystem::create_symlink(dir_ / "target", dir_ / "link");
  std::filesystem::create_symlink(dir_ / "nowhere", dir_ / "dangling");
  for (const char* name : {"link", "dangling"}) {
    for (const auto& write : {std::function<void()>([&] { BulkFile::create(dir_ / name); }),
                              std::function<void()>([&] { write_text(dir_ / name, "x", Durability::none); }),
                              std::function<void()>([&] { H5File::create(dir_ / name); })}) {
      try {
        write();
        FAIL() << "expected an IoError";
      } catch (const IoError& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr(std::string(name) + " is a symbolic link, and files are not written through links"));
      }
    }
  }
  EXPECT_EQ(read_file(dir_ / "target"), "precious");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "nowhere"));
  publish_text(dir_ / "link", text_);
  EXPECT_EQ(read_file(dir_ / "link"), text_) << "publishing replaces the link";
  EXPECT_EQ(read_file(dir_ / "target"), "precious");
}

// The process ID of a process that has ended.
int ended_process() {
  const int pid = ::fork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
  return pid;
}

TEST_F(BulkFileFaults, WhatAKilledProcessLeftIsRemovedAndNothingElse) {
  const int ended = ended_process();
  std::string tag = process_tag();
  tag.resize(tag.rfind('-') + 1);
  const std::vector<std::string> theirs{concat(".a.", ended, ".tmp"), concat(".a.", tag, ended, ".tmp"),
                                        concat(".shard-00003.h5.", tag, ended, ".tmp")};
  const std::vector<std::string> others{concat(".a.", ::getppid(), ".tmp"),                 // its process is alive
                                        concat(".a.", tag, ::getppid(), ".tmp"),            // likewise
                                        concat(".a.birkhoff-elsewhere-1-", ended, ".tmp"),  // made on another host
                                        concat(".notes.", ended, ".tmp"),                   // made by another program
                                        concat("a.", tag, ended, ".tmp"),
                                        concat(".a.", tag, ended, ".txt"),
                                        ".a.tmp",
                                        ".a..tmp"};
  for (const auto& names : {theirs, others})
    for (const std::string& name : names) write_file(dir_ / name, "x");
  publish_text(dir_ / "a", text_);
  for (const std::string& name : theirs) EXPECT_FALSE(std::filesystem::exists(dir_ / name)) << name;
  for (const std::string& name : others) EXPECT_TRUE(std::filesystem::exists(dir_ / name)) << name;
}

TEST_F(BulkFileFaults, ATemporaryOfALongNameHasAName) {
  const std::string name(250, 'n');
  publish_text(dir_ / name, text_);
  EXPECT_EQ(read_file(dir_ / name), text_);
}

}  // namespace
}  // namespace birkhoff
