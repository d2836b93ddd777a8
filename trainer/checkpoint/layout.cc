#include "trainer/checkpoint/layout.h"

#include <algorithm>
#include <tuple>

#include "data/hdf5/file.h"

namespace birkhoff {
namespace {

void check_cover(const std::string& name, const Manifest::Entry& entry, Defects& defects) {
  int64_t next = 0;
  for (const Manifest::Part& p : entry.parts) {
    if (p.begin != next) {
      const char* what = p.begin < next ? "written twice, or its parts do not ascend" : "missing";
      return defects.add(concat(name, ": elements from ", std::min(next, p.begin), " on are ", what));
    }
    next += p.count;
  }
  if (next != entry.shape.count()) {
    defects.add(concat(name, ": ", next, " of ", entry.shape.count(), " elements were written"));
  }
}

void check_place(const std::string& name, const Manifest::Part& part, int64_t bytes, const Manifest& m,
                 Defects& defects) {
  const auto file = m.files.find(part.file);
  if (file == m.files.end()) {
    defects.add(concat(name, ": its part in ", part.file, ": the checkpoint has no such file"));
  } else if (!file->second.xxh3.empty()) {
    defects.add(concat(name, ": its part in ", part.file, ": that is an attachment, expected a tensor file"));
  } else if (part.offset > file->second.bytes || bytes > file->second.bytes - part.offset) {
    defects.add(concat(name, ": its part in ", part.file, ": ", bytes, " bytes at byte ", part.offset,
                       " lie outside the ", file->second.bytes, " bytes of the file"));
  }
}

// A range of bytes of a file, and whose it is.
struct Range {
  std::string_view file;
  int64_t begin, end;
  std::string_view tensor;
};

void check_overlap(std::vector<Range>& ranges, Defects& defects) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::tie(a.file, a.begin) < std::tie(b.file, b.begin); });
  for (size_t i = 1; i < ranges.size(); ++i) {
    const Range &a = ranges[i - 1], &b = ranges[i];
    if (a.file != b.file || a.end <= b.begin) continue;
    defects.add(concat(a.tensor, " and ", b.tensor, " share bytes of ", a.file, " from byte ", b.begin, " on"));
  }
}

}  // namespace

void check_layout(const Manifest& m, Defects& defects) {
  std::vector<Range> ranges;
  for (const auto& [name, entry] : m.tensors) {
    check_cover(name, entry, defects);
    for (const Manifest::Part& part : entry.parts) {
      const int64_t bytes = bytes_of(entry, part);
      check_place(name, part, bytes, m, defects);
      if (bytes > 0) ranges.push_back({part.file, part.offset, part.offset + bytes, name});
    }
  }
  check_overlap(ranges, defects);
}

void check_layout(const Manifest& m) {
  Defects defects;
  check_layout(m, defects);
  defects.throw_if_any("the parts of the tensors");
}

void check_layout(const std::filesystem::path& folder, const Manifest& m, const std::string& file) {
  const H5File h5 = H5File::open(folder / file);
  const H5Group root = h5.root();
  Defects defects;
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (part.file != file) continue;
      defects.check([&, &name = name, &entry = entry] {
        const H5Dataset d = root.dataset(name);
        const bool place = part.count == 0 || d.offset == part.offset;
        if (d.dtype == entry.dtype && d.shape.count() == part.count && place) return;
        throw DataError(concat(name, " in ", (folder / file).string(), ": HDF5 finds ", d.dtype, d.shape, " at byte ",
                               d.offset, ", expected ", entry.dtype, " [", part.count, "] at byte ", part.offset));
      });
    }
  }
  defects.throw_if_any((folder / file).string());
}

}  // namespace birkhoff
