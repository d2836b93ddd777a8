#pragma once
// The steps of a save, in the order in which the writer takes them.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "parallel/shard/state.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// A part of a logical tensor that this rank writes.
struct Piece {
  std::string name;
  Tensor data;  // flat
  Slice slice;
};

struct Snapshot {
  std::vector<Piece> pieces;
  Manifest manifest;  // step and values; no tensors yet
};

class RankLayout;  // rank_layout.h

// Names what this rank writes: its shards, and an even share of everything that it holds with others.
Snapshot collect(const std::function<void(StateVisitor&)>& state);

// Makes the folder, empty.
void begin_folder(const std::filesystem::path& folder);
// what(): "the state is not finite: adamw.m.layers.1.ffn.up.weight, element [3, 5], is nan".
class NonfiniteState : public DataError {
 public:
  using DataError::DataError;
};

// Writes this rank's file by `layout`, which may be that of the save before. The file is on disk on return. Space is
// claimed first; every byte is hashed and every value looked at on its way out. Then the file is opened again and its
// layout compared with the record of it, which is returned, and which a rank other than 0 leaves for rank 0 beside the
// file. Throws NonfiniteState, IoError, DataError.
Manifest write_own(const std::filesystem::path& folder, int rank, const Snapshot& snapshot, RankLayout& layout);
// By rank 0: joins the ranks' records, `own` and those of the others, adds the attachments and writes the manifest.
// When everything is on disk and what was written can be opened as a checkpoint, the folder gets its name.
void publish(const std::filesystem::path& directory, int64_t step, int num_ranks, Manifest own,
             const std::map<std::string, std::string>& attachments);

}  // namespace birkhoff
