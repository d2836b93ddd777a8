#include "data/hdf5/bulk_file.h"

#include <algorithm>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

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

}  // namespace
}  // namespace birkhoff
