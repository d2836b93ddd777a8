#pragma once
#include <filesystem>
#include <iosfwd>

namespace birkhoff {

// What `birkhoff checkpoint` does, printed to `out`. DataError where a checkpoint is not valid.

// Step, files, bytes by class of tensor, values and every tensor. Reads the manifest and the sizes of the files only.
void inspect_checkpoint(const std::filesystem::path& checkpoint, std::ostream& out);

// Reads every byte of a checkpoint, or of all in a run's directory; then it prints all faults before it throws.
void verify_checkpoints(const std::filesystem::path& path, std::ostream& out);

// What differs: tensors with the largest absolute and relative difference, values, lines of text and attachments.
// Returns whether anything does.
enum class Difference { none, some };
Difference diff_checkpoints(const std::filesystem::path& a, const std::filesystem::path& b, std::ostream& out);

}  // namespace birkhoff
