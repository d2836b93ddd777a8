#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// The most shared memory (/dev/shm) that a host gives to each of its ranks, for all groups together: 64 MiB for 8
// ranks. A group takes about 0.5 MiB for each of its ranks on the host (Board::kArea_bytes). A group for which there is
// no room left exchanges messages, which is slower. Memory of a group that ends becomes free.
inline constexpr int64_t kMostHostMemory_bytes = 8 << 20;

// The names of this rank's groups that exchange messages within a host because it has no shared memory for them: there
// is too little of it, or the limit above is reached. In the order in which the groups were made. Thread-safe.
std::vector<std::string> groups_without_host_memory();

}  // namespace birkhoff
