#pragma once
#include <filesystem>
#include <set>
#include <string>

#include "kernels/core/defects.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// Checks that a manifest is consistent: the parts of each tensor cover it exactly once, each part lies within a tensor
// file that the manifest lists, and no two parts share bytes. Adds every defect to `defects`. Returns the names of the
// tensors whose bytes must not be read because one of their parts has a defect, lies outside its file, or shares bytes
// with another part.
std::set<std::string> check_layout(const Manifest& manifest, Defects& defects);
// The same check; throws the defects as one DataError.
void check_layout(const Manifest& manifest);

// Checks that HDF5 finds in one tensor file of the checkpoint `folder` what the manifest says: name, dtype, number of
// elements and offset of each part. Our reader does not need the metadata of HDF5, but other programs need it to read
// the file. Reads the metadata only, no tensor data. Throws a DataError that lists the differences.
void check_layout(const std::filesystem::path& folder, const Manifest& manifest, const std::string& file);

}  // namespace birkhoff
