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

// Fills the state of all ranks from a checkpoint, whatever number of ranks wrote it.
// Every tensor of the state must be in the checkpoint with the same shape and dtype, and the checkpoint must hold no
// other; a DataError lists everything that does not fit. f64, the dtype of the reference device, is converted to and
// from the other floating dtypes; a value that would overflow to infinity is a DataError. Values that are not finite in
// the checkpoint are loaded and reported.
// Reals, integers and texts replace those of the state. Of each tensor a rank reads only the boxes that overlap what it
// holds.
// Collective: all ranks succeed or all fail. The caller has verified the checkpoint.
struct Loaded {
  int64_t rounded = 0;  // number of tensors on this rank that were rounded to a narrower dtype
  // Describes one value that is not finite, in a tensor or a real: the first one that the lowest such rank found.
  // Example: "layers.1.ffn.up.weight, element [3, 5], is nan". Empty if all values are finite.
  std::string nonfinite;
};
Loaded load_checkpoint(Communicator& world, const std::filesystem::path& checkpoint, const Manifest& manifest,
                       Device device, const std::function<void(StateVisitor&)>& state);

// Finds the newest valid checkpoint of a directory, and the reasons why newer ones were passed over. Every byte is
// read; the ranks share the work. Collective. Returns nullopt if the directory has no checkpoint; throws DataError if
// it has checkpoints but none of them is valid.
struct Found {
  std::filesystem::path path;
  Manifest manifest;
  std::vector<std::string> passed_over;
};
std::optional<Found> find_newest_valid(Communicator& world, const std::filesystem::path& directory);
// Verifies the named checkpoint and returns it; throws DataError if it is not valid. Collective.
Found require_valid(Communicator& world, const std::filesystem::path& checkpoint);

// Reads an attachment of a verified checkpoint.
std::string read_attachment(const std::filesystem::path& checkpoint, const std::string& name);

}  // namespace birkhoff
