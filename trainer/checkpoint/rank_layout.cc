#include "trainer/checkpoint/rank_layout.h"

#include <utility>

#include "data/hdf5/file.h"

namespace birkhoff {

void RankLayout::fit(const std::vector<Piece>& pieces) {
  std::vector<Dataset> datasets;
  for (const Piece& p : pieces) datasets.push_back({p.name, p.data.dtype, p.data.shape});
  if (file_ && datasets == datasets_) return;
  // Reset first: if the code below throws, the next call must not take a partial layout for a complete one.
  *this = {};
  auto memory = std::make_unique<MemoryFile>();
  std::vector<H5Dataset> places;
  H5File file = H5File::create(*memory);
  for (const Dataset& d : datasets) places.push_back(file.root().create_dataset(d.name, d.dtype, d.shape));
  file.close();
  file_ = std::move(memory);
  datasets_ = std::move(datasets);
  places_ = std::move(places);
}

}  // namespace birkhoff
