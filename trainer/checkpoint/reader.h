#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/shard/state.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// Fills the state of all ranks from a checkpoint that any number of ranks wrote.
// Every name must be there with the shape and dtype of the state, and nothing else: DataError lists all that differ.
// f64, which the reference device computes in, is converted to and from the other floating dtypes; a value that would
// become infinite is a DataError. What is not finite in the checkpoint is loaded, and told.
// Reals, integers and texts are replaced; a tensor's boxes are read as far as they overlap what this rank holds.
// Collective: all ranks load or all fail. The caller has verified the checkpoint.
struct Loaded {
  int64_t rounded = 0;  // tensors, on this rank
  // The first value that is not finite, of any rank, reals included: "layers.1.ffn.up.weight, element [3, 5], is nan".
  // Empty where all are finite.
  std::string nonfinite;
};
Loaded load_checkpoint(Communicator& world, const std::filesystem::path& checkpoint, const Manifest& manifest,
                       Device device, const std::function<void(StateVisitor&)>& state);

// The newest checkpoint of a directory that is whole, and why newer ones were passed over. Every byte is read, shared
// out over the ranks. Collective; nothing where the directory has no checkpoint. DataError where it has, but none is
// valid.
struct Found {
  std::filesystem::path path;
  Manifest manifest;
  std::vector<std::string> passed_over;
};
std::optional<Found> find_newest_valid(Communicator& world, const std::filesystem::path& directory);
// The one named, or a DataError.
Found require_valid(Communicator& world, const std::filesystem::path& checkpoint);

// A small file of a verified checkpoint.
std::string read_attachment(const std::filesystem::path& checkpoint, const std::string& name);

}  // namespace birkhoff
