#include "kernels/core/host_memory.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

TEST(HostMemory, IsKnown) { EXPECT_GT(available_host_memory().value_or(0), int64_t{1} << 20); }

TEST(GroupMemory, IsTheLeastThatAnyEnclosingGroupLeaves) {
  const TempDir root;
  const auto limit = [&](const std::string& group, const std::string& most, const std::string& used, int64_t files) {
    std::filesystem::create_directories(root / group);
    write_file(root / (group + "/memory.max"), most + "\n");
    write_file(root / (group + "/memory.current"), used + "\n");
    write_file(root / (group + "/memory.stat"), concat("anon 5\ninactive_file ", files, "\nslab 7\n"));
  };
  limit("job/step/task", "max", "70", 0);
  EXPECT_EQ(available_group_memory(root.path(), "/job/step/task"), std::nullopt);
  limit("job", "1000", "300", 100);
  EXPECT_EQ(available_group_memory(root.path(), "/job/step/task"), 800);
  limit("job/step/task", "500", "200", 0);
  EXPECT_EQ(available_group_memory(root.path(), "/job/step/task"), 300);
  EXPECT_EQ(available_group_memory(root.path(), "/job"), 800);
  EXPECT_EQ(available_group_memory(root.path(), "/"), std::nullopt);
}

}  // namespace
}  // namespace birkhoff
