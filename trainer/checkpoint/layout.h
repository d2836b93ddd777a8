#pragma once
#include <filesystem>
#include <set>
#include <string>

#include "kernels/core/defects.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// Whether a manifest agrees with itself: the parts of each tensor cover it exactly once; each lies within a tensor file
// that the manifest lists, and no two share bytes. Every defect is added. Returns the tensors of which no byte is to be
// read: a part has a defect, lies outside its file, or shares bytes with another.
std::set<std::string> check_layout(const Manifest& manifest, Defects& defects);
// The same; DataError.
void check_layout(const Manifest& manifest);

// Whether HDF5 finds in a tensor file of the checkpoint `folder` what the manifest says, since other programs go by
// it: name, type, number of elements and place of each part. Reads the metadata alone, no tensor. DataError lists what
// differs.
void check_layout(const std::filesystem::path& folder, const Manifest& manifest, const std::string& file);

}  // namespace birkhoff
