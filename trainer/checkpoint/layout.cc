#include "trainer/checkpoint/layout.h"

#include <algorithm>
#include <tuple>

#include "data/hdf5/file.h"
#include "parallel/shard/cover.h"

namespace birkhoff {
namespace {

void check_cover(const std::string& name, const Manifest::Entry& entry, Defects& defects) {
  std::vector<Box> boxes;
  for (const Manifest::Part& p : entry.parts) boxes.insert(boxes.end(), p.boxes.begin(), p.boxes.end());
  const std::string defect = find_cover_defect(entry.shape, boxes);
  if (!defect.empty()) defects.add(concat(name, ": ", defect));
}

// Checks that parts lie within their tensor files. A file that cannot hold any part is reported once, for the first
// part in it.
class Places {
 public:
  Places(const Manifest& manifest, Defects& defects) : manifest_(&manifest), defects_(&defects) {}

  // Returns whether the part, of `bytes` bytes, has no defect.
  bool check(const std::string& tensor, const Manifest::Part& part, int64_t bytes) {
    const auto found = manifest_->files.find(part.file);
    if (found == manifest_->files.end()) return refuse_file(tensor, part, "the checkpoint has no such file");
    const Manifest::File& file = found->second;
    // The unreadable size was already reported as a defect of the file.
    if (file.bytes == Manifest::File::kUnreadable) return true;
    if (!file.xxh3.empty()) return refuse_file(tensor, part, "that is an attachment, expected a tensor file");
    // Written as a difference because offset + bytes may overflow.
    if (part.offset <= file.bytes && bytes <= file.bytes - part.offset) return true;
    defects_->add(concat(tensor, ": its part in ", part.file, ": ", bytes, " bytes at byte ", part.offset,
                         " lie outside the ", file.bytes, " bytes of the file"));
    return false;
  }

 private:
  bool refuse_file(const std::string& tensor, const Manifest::Part& part, const char* why) {
    if (reported_.insert(part.file).second) defects_->add(concat(tensor, ": its part in ", part.file, ": ", why));
    return false;
  }

  const Manifest* manifest_;
  Defects* defects_;
  std::set<std::string> reported_;
};

// A range of bytes of a file, and the tensor that it belongs to.
struct Range {
  std::string_view file;
  int64_t begin, end;
  std::string_view tensor;
};

// Reports each pair of tensors once per file, however many of their parts share bytes.
void check_overlap(std::vector<Range>& ranges, Defects& defects, std::set<std::string>& misplaced) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::tie(a.file, a.begin) < std::tie(b.file, b.begin); });
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> reported;
  const Range* last = nullptr;  // the range that ends last among the earlier ones of this file
  for (const Range& range : ranges) {
    if (last && last->file == range.file && range.begin < last->end) {
      misplaced.emplace(last->tensor);
      misplaced.emplace(range.tensor);
      if (reported.emplace(range.file, last->tensor, range.tensor).second) {
        defects.add(concat(last->tensor, " and ", range.tensor, " share bytes of ", range.file, " from byte ",
                           range.begin, " on"));
      }
    }
    // A range may reach beyond several later ones, so comparing neighbors alone would miss an overlap.
    if (!last || last->file != range.file || range.end > last->end) last = &range;
  }
}

}  // namespace

std::set<std::string> check_layout(const Manifest& m, Defects& defects) {
  std::set<std::string> misplaced;
  std::vector<Range> ranges;
  Places places(m, defects);
  for (const auto& [name, entry] : m.tensors) {
    if (entry.whole) {
      check_cover(name, entry, defects);
    } else {
      misplaced.insert(name);
    }
    for (const Manifest::Part& part : entry.parts) {
      const int64_t bytes = bytes_of(entry, part);
      if (!places.check(name, part, bytes)) misplaced.insert(name);
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
        const int64_t count = part.count();
        // HDF5 allocates no storage for an empty dataset, so its offset has no meaning.
        const bool place = count == 0 || d.offset == part.offset;
        if (d.dtype == entry.dtype && d.shape.count() == count && place) return;
        throw DataError(concat(name, " in ", (folder / file).string(), ": HDF5 finds ", d.dtype, d.shape, " at byte ",
                               d.offset, ", expected ", entry.dtype, " [", count, "] at byte ", part.offset));
      });
    }
  }
  defects.throw_if_any((folder / file).string());
}

}  // namespace birkhoff
