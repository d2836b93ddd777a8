#pragma once
// The steps of a save, in the order in which the writer calls them.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "parallel/shard/state.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// The part of one logical tensor that this rank writes.
struct Piece {
  std::string name;
  Tensor data;  // flat
  Slice slice;
};

struct Snapshot {
  std::vector<Piece> pieces;
  Manifest manifest;  // has the values; the writer sets the step, and write_own() adds the tensors to its copy
};

class RankLayout;  // rank_layout.h

// Lists what this rank writes: the slices that only this rank holds, and its share of every tensor of which other ranks
// hold a copy.
Snapshot collect(const std::function<void(StateVisitor&)>& state);

// Makes an empty folder, removing an older one of the same name.
void begin_folder(const std::filesystem::path& folder);
// Example of what(): "the state is not finite: adamw.m.layers.1.ffn.up.weight, element [3, 5], is nan".
class NonfiniteState : public DataError {
 public:
  using DataError::DataError;
};

// Writes this rank's file and returns the record of its parts. `layout` is made to fit the snapshot; pass that of
// the previous save, so that it is reused if it still fits. The file is on disk when the function returns. It reserves
// disk space before it writes any data, and while it writes, it hashes the data and checks that all values are finite.
// Then it opens the file again and checks that HDF5 finds each dataset as the record says; it reads no data back. Ranks
// other than 0 also store this record next to the file, for rank 0 to read. Throws NonfiniteState, IoError, DataError.
Manifest write_own(const std::filesystem::path& folder, int rank, const Snapshot& snapshot, RankLayout& layout);
// Called by rank 0 only: joins its own record with those of the other ranks, adds the attachments and writes the
// manifest. Gives the folder its final name only after everything is on disk and the folder can be opened as a
// checkpoint.
void publish(const std::filesystem::path& directory, int64_t step, int num_ranks, Manifest own,
             const std::map<std::string, std::string>& attachments);

}  // namespace birkhoff
