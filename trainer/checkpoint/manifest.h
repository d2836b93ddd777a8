#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/defects.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// The content of a checkpoint, described by logical tensors (docs/formats/checkpoint.md). The manifest knows nothing of
// ranks: a tensor is divided into parts, each a list of boxes stored in one file with one checksum, and over all parts
// every element lies in exactly one box.
struct Manifest {
  static constexpr int64_t kVersion = 2;          // the version that is written; versions 1 and 2 are read
  static constexpr int64_t kUnreadableStep = -1;  // stands for a step that could not be read

  struct Part {
    std::string file;        // name of the file in the checkpoint's folder
    std::vector<Box> boxes;  // boxes of the tensor; the file holds their elements box after box, each box row-major
    int64_t offset = 0;      // byte offset of the first element in the file
    std::string xxh3;        // checksum of the part's bytes

    int64_t count() const;  // elements
  };
  struct Entry {
    DType dtype = DType::f32;
    Shape shape;
    std::vector<Part> parts;
    bool whole = true;  // false if a part had a defect and was left out
  };
  struct File {
    static constexpr int64_t kUnreadable = -1;  // stands for a size that could not be read

    int64_t bytes = 0;
    std::string xxh3;  // checksum of the whole file; empty for tensor files, whose parts have their own
  };

  int64_t version = kVersion;  // version of the text that was parsed
  int64_t step = 0;
  std::map<std::string, Entry> tensors;
  std::map<std::string, int64_t> integers;
  std::map<std::string, double> reals;
  std::map<std::string, std::string> texts;
  std::map<std::string, File> files;  // every file but the manifest itself
};

inline int64_t bytes_of(const Manifest::Entry& entry, const Manifest::Part& part) {
  return part.count() * static_cast<int64_t>(size_of(entry.dtype));
}

inline constexpr const char* kManifestName = "manifest.json";

// The manifest as text, with its own checksum. Reals are stored as their 64 bits, so that no bit is lost.
std::string to_text(const Manifest& manifest);
// Parses a manifest of version 1 or 2. Throws a DataError that names `path` if the text is not a manifest, its checksum
// is wrong, its version is not supported, or a value has the wrong type or is out of range: names must be plain names,
// parts must lie within their tensor, and sizes must fit 63 bits. Does not check whether the parts cover each tensor
// (layout.h does), because the record of a single writer holds only some of the parts.
Manifest parse_manifest(const std::string& text, const std::string& path);
// The same, for a caller that lists all defects: adds them to `defects` and returns what can be read. A tensor without
// a readable dtype or shape is left out, and so is a part with a defect; a file with a defect stays in the list, marked
// unreadable. Still throws DataError if the text is not a manifest at all, or has another format or version.
Manifest parse_manifest(const std::string& text, const std::string& path, Defects& defects);

// Joins the records that the writers made of their own files. Throws DataError if the parts do not form a consistent
// layout (layout.h), or if the step, a value, or the shape or dtype of a tensor differs between writers.
Manifest join(const std::vector<Manifest>& writers);

}  // namespace birkhoff
