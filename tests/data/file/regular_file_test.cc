#include "data/file/regular_file.h"

#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

std::string refusal_of(const std::filesystem::path& path, int64_t max_bytes = kMaxTextFileBytes) {
  try {
    read_regular_file(path, max_bytes);
    return "read";
  } catch (const DataError& error) {
    return error.what();
  }
}

TEST(ReadRegularFile, GivesEveryByteAlsoThroughASymbolicLink) {
  const TempDir dir;
  const std::string text("a\0b\n", 4);
  std::ofstream(dir.path() / "file", std::ios::binary) << text;
  std::ofstream(dir.path() / "empty");
  std::filesystem::create_symlink("file", dir.path() / "link");
  EXPECT_EQ(read_regular_file(dir.path() / "file"), text);
  EXPECT_EQ(read_regular_file(dir.path() / "link"), text);
  EXPECT_EQ(read_regular_file(dir.path() / "empty"), "");
  EXPECT_THAT(read_regular_file("/proc/self/status"), HasSubstr("Name:"));  // reports a size of 0
}

TEST(ReadRegularFile, EndsWhateverThePathNames) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir.path() / "pipe").c_str(), 0600), 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const std::string socket = (dir.path() / "s").string();
  ASSERT_LT(socket.size(), sizeof(address.sun_path));
  socket.copy(address.sun_path, socket.size());
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_THAT(refusal_of(dir.path()), HasSubstr("is a folder, expected a regular file"));
  EXPECT_THAT(refusal_of(dir.path() / "pipe"), HasSubstr("is a pipe, expected a regular file"));
  EXPECT_THAT(refusal_of(socket), HasSubstr("is a socket, expected a regular file"));
  EXPECT_THAT(refusal_of("/dev/zero"), HasSubstr("is a device, expected a regular file"));
  EXPECT_THAT(refusal_of(dir.path() / "none"), HasSubstr("none: no such file"));
  EXPECT_THAT(refusal_of(dir.path() / "pipe" / "x"), HasSubstr("cannot open for reading: Not a directory"));
  ::close(fd);
}

TEST(ReadRegularFile, RefusesAFileAboveTheLimitBeforeItTakesMemory) {
  const TempDir dir;
  std::ofstream(dir.path() / "file") << "12345";
  EXPECT_EQ(read_regular_file(dir.path() / "file", 5), "12345");
  EXPECT_THAT(refusal_of(dir.path() / "file", 4), HasSubstr("has 5 bytes, expected a text file of at most 4"));
  // A sparse file of 1 TB: allocating memory for its size would fail.
  std::filesystem::resize_file(dir.path() / "file", uintmax_t{1} << 40);
  EXPECT_THAT(refusal_of(dir.path() / "file"), HasSubstr("expected a text file of at most"));
}

TEST(PlainName, IsAnEntryOfTheSameFolder) {
  for (const char* name : {"shard-0.h5", ".hidden", "..x", "a b", "ü"}) EXPECT_TRUE(is_plain_name(name)) << name;
  for (const char* name : {"", ".", "..", "a/b", "/etc/passwd", "../x"}) EXPECT_FALSE(is_plain_name(name)) << name;
  EXPECT_FALSE(is_plain_name(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace birkhoff
