#pragma once
#include <memory>
#include <vector>

#include "data/hdf5/bulk_file.h"
#include "trainer/checkpoint/save.h"

namespace birkhoff {

// The HDF5 file of one rank without the bytes of its datasets: only HDF5's metadata, and where each dataset lies. A run
// saves the same tensors every time, so the layout is kept from save to save. It is made in memory because HDF5 fails
// badly on a full disk (see H5File::close()).
class RankLayout {
 public:
  // Lays out the file for these pieces, or does nothing if the layout already fits them. If it throws (DataError or
  // IoError), this object is in its initial state again.
  void fit(const std::vector<Piece>& pieces);

  // The dataset of each piece, in the order of the pieces.
  const std::vector<H5Dataset>& places() const { return places_; }
  int64_t bytes() const { return file_->bytes(); }
  void copy_to(const BulkFile& out) const { file_->copy_to(out); }

 private:
  struct Dataset {
    std::string name;
    DType dtype;
    Shape shape;
    bool operator==(const Dataset&) const = default;
  };

  std::unique_ptr<MemoryFile> file_;
  std::vector<Dataset> datasets_;
  std::vector<H5Dataset> places_;
};

}  // namespace birkhoff
