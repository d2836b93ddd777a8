#include "launch/program_identity.h"

#include <fstream>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {

std::string program_identity() {
  std::ifstream in("/proc/self/exe", std::ios::binary);
  Hasher hasher;
  std::vector<char> part(1 << 20);
  while (in.read(part.data(), static_cast<std::streamsize>(part.size())), in.gcount() > 0)
    hasher.update(part.data(), static_cast<size_t>(in.gcount()));
  return concat(BIRKHOFF_VERSION, ' ', hex16(hasher.digest()));
}

}  // namespace birkhoff
