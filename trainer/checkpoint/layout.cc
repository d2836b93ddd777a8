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

// Whether a part lies within its tensor file.
void check_place(const std::string& name, const Manifest::Part& part, int64_t bytes, const Manifest& m) {
  const auto refuse = [&](const auto&... why) {
    throw DataError(concat(name, ": its part in ", part.file, ": ", why...));
  };
  const auto found = m.files.find(part.file);
  if (found == m.files.end()) refuse("the checkpoint has no such file");
  const Manifest::File& file = found->second;
  if (file.bytes == Manifest::File::kUnreadable) return;
  if (!file.xxh3.empty()) refuse("that is an attachment, expected a tensor file");
  if (part.offset > file.bytes || bytes > file.bytes - part.offset) {
    refuse(bytes, " bytes at byte ", part.offset, " lie outside the ", file.bytes, " bytes of the file");
  }
}

// A range of bytes of a file, and whose it is.
struct Range {
  std::string_view file;
  int64_t begin, end;
  std::string_view tensor;
};

// Two tensors are told once, however many of their parts share bytes.
void check_overlap(std::vector<Range>& ranges, Defects& defects, std::set<std::string>& misplaced) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::tie(a.file, a.begin) < std::tie(b.file, b.begin); });
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> told;
  const Range* last = nullptr;  // of those before in the file, the one that ends last
  for (const Range& range : ranges) {
    if (last && last->file == range.file && range.begin < last->end) {
      misplaced.emplace(last->tensor);
      misplaced.emplace(range.tensor);
      if (told.emplace(range.file, last->tensor, range.tensor).second) {
        defects.add(concat(last->tensor, " and ", range.tensor, " share bytes of ", range.file, " from byte ",
                           range.begin, " on"));
      }
    }
    if (!last || last->file != range.file || range.end > last->end) last = &range;
  }
}

}  // namespace

std::set<std::string> check_layout(const Manifest& m, Defects& defects) {
  std::set<std::string> misplaced;
  std::vector<Range> ranges;
  for (const auto& [name, entry] : m.tensors) {
    if (entry.whole) {
      check_cover(name, entry, defects);
    } else {
      misplaced.insert(name);
    }
    for (const Manifest::Part& part : entry.parts) {
      const int64_t bytes = bytes_of(entry, part);
      const size_t before = defects.count();
      defects.check([&, &name = name] { check_place(name, part, bytes, m); });
      if (defects.count() > before) misplaced.insert(name);
      if (bytes > 0) ranges.push_back({part.file, part.offset, part.offset + bytes, name});
    }
  }
  check_overlap(ranges, defects, misplaced);
  return misplaced;
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
