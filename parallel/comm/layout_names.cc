#include "parallel/comm/layout_names.h"

#include "kernels/core/error.h"

namespace birkhoff {

std::string name_of_rank(int rank, int ranks, const LayoutNames& names) {
  const auto i = static_cast<size_t>(rank);
  const std::string coordinates = i < names.coordinates.size() ? names.coordinates[i] : "";
  return concat("rank ", rank, " of ", ranks, coordinates.empty() ? "" : concat(" (", coordinates, ")"));
}

}  // namespace birkhoff
