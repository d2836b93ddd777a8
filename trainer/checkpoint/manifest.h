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

// What a checkpoint holds, by logical tensor: docs/formats/checkpoint.md. It knows nothing of ranks; a tensor's parts
// are boxes of it that together cover it once, each part in some file with its checksum.
struct Manifest {
  static constexpr int64_t kVersion = 2;          // the one written; versions 1 and 2 are read
  static constexpr int64_t kUnreadableStep = -1;  // of a manifest with defects

  struct Part {
    std::string file;        // within the checkpoint's directory
    std::vector<Box> boxes;  // of the tensor, whose elements lie in the file one box after the other, row-major
    int64_t offset = 0;      // of the first byte in the file
    std::string xxh3;        // of the bytes

    int64_t count() const;  // elements
  };
  struct Entry {
    DType dtype = DType::f32;
    Shape shape;
    std::vector<Part> parts;
    bool whole = true;  // of a manifest with defects: no part had one
  };
  struct File {
    static constexpr int64_t kUnreadable = -1;  // of a manifest with defects

    int64_t bytes = 0;
    std::string xxh3;  // of the whole file; empty for tensor files, whose parts have their own
  };

  int64_t version = kVersion;  // of the text it was read from
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

// Text with a checksum of its own. Reals keep all bits.
std::string to_text(const Manifest& manifest);
// Of version 1 or 2. DataError naming `path` if the text is no manifest, its checksum is wrong, its version is another,
// or a value is not of its type and range: names are plain names, a part lies within its tensor, sizes fit 63 bits.
// Whether the parts of a tensor cover it is not looked at (layout.h): a writer's record holds some of them.
Manifest parse_manifest(const std::string& text, const std::string& path);
// The same for one that lists all defects: they are added, and what is returned is what can be read. A tensor without a
// dtype or shape is left out, and so is a part with a defect; files are there, as unreadable ones. DataError where the
// text is no manifest, or one of another format or version.
Manifest parse_manifest(const std::string& text, const std::string& path, Defects& defects);

// Joins what the writers recorded of their own files. DataError if the parts do not make up a layout (layout.h), or a
// tensor's shape or dtype, the step or a value differ between writers.
Manifest join(const std::vector<Manifest>& writers);

}  // namespace birkhoff
