#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/defects.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace birkhoff {

// What a checkpoint holds, by logical tensor: docs/formats/checkpoint.md. It knows nothing of ranks; a tensor's parts
// are flat ranges that together cover it, each in some file, each with its checksum.
struct Manifest {
  static constexpr int64_t kVersion = 1;
  static constexpr int64_t kUnreadableStep = -1;  // of a manifest with defects

  struct Part {
    std::string file;    // within the checkpoint's directory
    int64_t begin = 0;   // first element in the tensor
    int64_t count = 0;   // elements
    int64_t offset = 0;  // of the first byte in the file
    std::string xxh3;    // of the bytes
  };
  struct Entry {
    DType dtype = DType::f32;
    Shape shape;
    std::vector<Part> parts;  // ascending, without gap or overlap
    bool whole = true;        // of a manifest with defects: no part had one
  };
  struct File {
    static constexpr int64_t kUnreadable = -1;  // of a manifest with defects

    int64_t bytes = 0;
    std::string xxh3;  // of the whole file; empty for tensor files, whose parts have their own
  };

  int64_t version = kVersion;
  int64_t step = 0;
  std::map<std::string, Entry> tensors;
  std::map<std::string, int64_t> integers;
  std::map<std::string, double> reals;
  std::map<std::string, std::string> texts;
  std::map<std::string, File> files;  // every file but the manifest itself
};

inline int64_t bytes_of(const Manifest::Entry& entry, const Manifest::Part& part) {
  return part.count * static_cast<int64_t>(size_of(entry.dtype));
}

inline constexpr const char* kManifestName = "manifest.json";

// Text with a checksum of its own. Reals keep all bits.
std::string to_text(const Manifest& manifest);
// DataError naming `path` if the text is no manifest, its checksum is wrong, its version is not this one's, or a value
// is not of its type and range: names are plain names, a part lies within its tensor, sizes fit 63 bits. Whether the
// parts of a tensor cover it is not looked at (layout.h): a writer's record holds some of them.
Manifest parse_manifest(const std::string& text, const std::string& path);
// The same for one that lists all defects: they are added, and what is returned is what can be read. A tensor without a
// dtype or shape is left out, and so is a part with a defect; files are there, as unreadable ones. DataError where the
// text is no manifest, or one of another format or version.
Manifest parse_manifest(const std::string& text, const std::string& path, Defects& defects);

// Joins what the writers recorded of their own files. DataError if the parts do not make up a layout (layout.h), or a
// tensor's shape or dtype, the step or a value differ between writers.
Manifest join(const std::vector<Manifest>& writers);

}  // namespace birkhoff
