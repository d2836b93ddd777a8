#pragma once
#include <filesystem>
#include <iosfwd>

namespace birkhoff {

// The subcommands of `birkhoff checkpoint`. Each prints its result to `out` and throws DataError if a checkpoint is
// invalid.

// Prints the step, the files, the bytes by class of tensor, the values and every tensor. Reads only the manifest and
// the sizes of the files.
void inspect_checkpoint(const std::filesystem::path& checkpoint, std::ostream& out);

// Reads every byte of one checkpoint, or of all checkpoints in a run's directory. Prints the defects of all of them
// before it throws.
void verify_checkpoints(const std::filesystem::path& path, std::ostream& out);

// Prints the tensors that differ, with their largest absolute and relative difference, and the values, lines of text
// and attachments that differ. Returns whether anything differs.
enum class Difference { none, some };
Difference diff_checkpoints(const std::filesystem::path& a, const std::filesystem::path& b, std::ostream& out);

}  // namespace birkhoff
