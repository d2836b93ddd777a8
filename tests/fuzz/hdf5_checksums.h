#pragma once
#include <filesystem>
#include <string>

namespace birkhoff {

// Writes the checksums of the superblock and of all object headers of an HDF5 file again, and its size.
void make_h5_checksums(std::string& file);
// Writes the index checksum of a shard again, into `bytes`, which `path` holds. Error where it is no shard.
void make_shard_checksum(const std::filesystem::path& path, std::string& bytes);

}  // namespace birkhoff
