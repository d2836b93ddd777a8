#include "kernels/core/process_memory.h"

#include <cstring>

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace birkhoff {
namespace {

constexpr size_t kBytes = size_t{64} << 20;
constexpr int64_t kMost = kBytes / 10 * 9;

void* map_bytes() { return mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

TEST(ProcessMemory, PeakKeepsWhatWasTouchedAndGivenBack) {
  const ProcessMemory before = process_memory();
  if (!before.resident || !before.peak_resident) GTEST_SKIP() << "/proc/self/status does not tell resident memory";
  void* block = map_bytes();
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBytes);
  EXPECT_GE(*process_memory().resident, *before.resident + kMost);
  munmap(block, kBytes);
  const ProcessMemory after = process_memory();
  EXPECT_LT(*after.resident, *before.resident + kMost);
  EXPECT_GE(*after.peak_resident, *before.resident + kMost);
  if (!reset_resident_peak()) GTEST_SKIP() << "the peak cannot be reset here";
  EXPECT_LT(*process_memory().peak_resident, *after.peak_resident - kMost);
}

TEST(ProcessMemory, AddressSpaceCountsWhatWasNeverTouched) {
  const ProcessMemory before = process_memory();
  if (!before.virtual_size || !before.resident) GTEST_SKIP() << "/proc/self/status does not tell the address space";
  void* block = map_bytes();
  ASSERT_NE(block, MAP_FAILED);
  const ProcessMemory mapped = process_memory();
  munmap(block, kBytes);
  EXPECT_GE(*mapped.virtual_size, *before.virtual_size + static_cast<int64_t>(kBytes));
  EXPECT_LT(*mapped.resident, *before.resident + kMost);
}

TEST(ProcessMemory, MappedFilesArePartOfWhatIsResident) {
  const ProcessMemory memory = process_memory();
  if (!memory.mapped_files || !memory.resident) GTEST_SKIP() << "/proc/self/status does not tell mapped files";
  EXPECT_GT(*memory.mapped_files, 0);
  EXPECT_LT(*memory.mapped_files, *memory.resident);
}

}  // namespace
}  // namespace birkhoff
