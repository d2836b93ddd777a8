#pragma once
#include <memory>
#include <vector>

#include "data/hdf5/bulk_file.h"
#include "trainer/checkpoint/save.h"

namespace birkhoff {

// The file of a rank as HDF5 lays it out, with its datasets and without their bytes. It is kept from save to save,
// since a run saves the same tensors every time. In memory, as H5File::close() tells.
class RankLayout {
 public:
  // Lays the file out for these pieces, unless it is. Throws DataError, IoError; it is then as new.
  void fit(const std::vector<Piece>& pieces);

  // A place for each piece, in their order.
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
