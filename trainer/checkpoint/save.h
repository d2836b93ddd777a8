#pragma once
// The steps of a save, in the order in which the writer takes them.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/state.h"

namespace birkhoff {

// A range of a logical tensor that this rank writes.
struct Piece {
  std::string name;
  Tensor data;  // flat
  Shape global;
  int64_t begin = 0;
};

struct Snapshot {
  std::vector<Piece> pieces;
  Manifest manifest;  // step and values; no tensors yet
};

// Fault injection: called, where set, on the thread and at the moment of a save. Tests exchange it and put nullptr
// back.
enum class SavePoint { data, own_written, manifest, rename, published };
using SavePointFn = void (*)(SavePoint point, int rank);
void inject_save_point(SavePointFn fn);

// Names what this rank writes: its shards, and an even share of everything that all ranks hold.
Snapshot collect(const std::function<void(StateVisitor&)>& state, int rank, int num_ranks);

// Makes the folder, empty.
void begin_folder(const std::filesystem::path& folder);
// Writes this rank's file and the record of it, both on disk on return. Space is claimed first and every byte is hashed
// on its way out.
void write_own(const std::filesystem::path& folder, int rank, const Snapshot& snapshot);
// Joins the ranks' records, adds the attachments, writes the manifest and, when everything is on disk, gives the folder
// its name.
void publish(const std::filesystem::path& directory, int64_t step, int num_ranks,
             const std::map<std::string, std::string>& attachments);

}  // namespace birkhoff
