#pragma once
#include <cstdint>
#include <optional>

namespace birkhoff {

// Memory of this process in bytes, read from /proc/self/status. Values that the kernel does not report are absent.
struct ProcessMemory {
  std::optional<int64_t> resident;       // now
  std::optional<int64_t> peak_resident;  // the largest ever, or since reset_resident_peak()
  std::optional<int64_t> mapped_files;   // the part of `resident` that maps program code and other files
  std::optional<int64_t> virtual_size;   // address space, resident or not; limited by `ulimit -v`
};
// Cost:    reads one file of /proc.
ProcessMemory process_memory();

// Resets the peak to the present size. Returns false if the kernel does not allow that for this process.
bool reset_resident_peak();

}  // namespace birkhoff
