#include "kernels/core/process_memory.h"

#include <fstream>
#include <string>

namespace birkhoff {

// The file has lines like "VmRSS:     1234 kB".
ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, colon);
    std::optional<int64_t>* const field = key == "VmRSS"     ? &memory.resident
                                          : key == "VmHWM"   ? &memory.peak_resident
                                          : key == "RssFile" ? &memory.mapped_files
                                          : key == "VmSize"  ? &memory.virtual_size
                                                             : nullptr;
    if (field != nullptr) *field = std::stoll(line.substr(colon + 1)) * 1024;
  }
  return memory;
}

bool reset_resident_peak() {
  std::ofstream file("/proc/self/clear_refs");
  // Writing 5 resets VmHWM (proc(5)).
  file << '5';
  return static_cast<bool>(file.flush());
}

}  // namespace birkhoff
