#pragma once
#include <filesystem>
#include <string>

namespace birkhoff {

// Recomputes the size in the superblock of an HDF5 file, and the checksums of the superblock, of all object headers,
// and of the heaps and indices of links. Mutated metadata then passes the checksums and reaches the checks after them.
void make_h5_checksums(std::string& file);
// Recomputes the index checksum of a shard in `bytes`, which must be the contents of the file `path`. Throws an Error
// if it is not a shard.
void make_shard_checksum(const std::filesystem::path& path, std::string& bytes);

}  // namespace birkhoff
