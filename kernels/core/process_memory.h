#pragma once
#include <cstdint>
#include <optional>

namespace birkhoff {

// Memory of this process in bytes, as /proc/self/status tells it; absent what it does not tell.
struct ProcessMemory {
  std::optional<int64_t> resident;       // now
  std::optional<int64_t> peak_resident;  // the most there ever was, or since reset_resident_peak()
  std::optional<int64_t> mapped_files;   // of what is resident, program code and other files
  std::optional<int64_t> virtual_size;   // address space, resident or not: what `ulimit -v` limits
};
// Cost: reads a file of the kernel's.
ProcessMemory process_memory();

// Lets the peak begin anew at the present size. Whether the kernel does so for this process.
bool reset_resident_peak();

}  // namespace birkhoff
