#include "trainer/checkpoint/elements.h"

#include <cstring>

namespace birkhoff {
namespace {

// Runs of elements that are contiguous both in a box stored in a file and in a box in memory. All runs have the same
// length; `begins` says where each one starts in the two boxes.
struct Runs {
  struct Begin {
    int64_t stored, wanted;
  };
  std::vector<Begin> begins;  // ascending
  int64_t length = 1;
};

// A run covers all trailing dims in which the common box is as large as both boxes, and the range of the common box in
// the dim before them.
Runs runs_of(const Box& common, const Box& stored, const Box& wanted) {
  Runs runs;
  for (int d = common.extent.rank(); d-- > 0;) {
    runs.length *= common.extent[d];
    if (common.extent[d] != stored.extent[d] || common.extent[d] != wanted.extent[d]) break;
  }
  for (int64_t i = 0; i < common.count(); i += runs.length) {
    const Shape first = common.indices_of(i);
    runs.begins.push_back({stored.element_at(first), wanted.element_at(first)});
  }
  return runs;
}

// Reads runs from a file. Short runs are read together with the bytes between them, because one long read costs less
// than many short ones.
class Reading {
 public:
  Reading(const BulkFile& file, int64_t element_bytes) : file_(file), size_(element_bytes) {}

  // `offset`: byte offset of the stored box in the file.
  void read(const Runs& runs, int64_t offset, char* out) {
    const auto& begins = runs.begins;
    for (size_t i = 0, end; i < begins.size(); i = end) {
      end = i + 1;
      const auto bytes_to = [&](size_t run) { return (begins[run].stored + runs.length - begins[i].stored) * size_; };
      while (end < begins.size() && bytes_to(end) <= kSpan) ++end;
      const int64_t at = offset + begins[i].stored * size_, run_bytes = runs.length * size_;
      if (end == i + 1) {
        file_.read(at, out + begins[i].wanted * size_, static_cast<size_t>(run_bytes));
        continue;
      }
      span_.resize(static_cast<size_t>(bytes_to(end - 1)));
      file_.read(at, span_.data(), span_.size());
      for (size_t r = i; r < end; ++r) {
        const char* from = span_.data() + (begins[r].stored - begins[i].stored) * size_;
        std::memcpy(out + begins[r].wanted * size_, from, static_cast<size_t>(run_bytes));
      }
    }
  }

 private:
  static constexpr int64_t kSpan = int64_t{256} << 10;

  const BulkFile& file_;
  int64_t size_;
  std::vector<char> span_;
};

}  // namespace

void read_elements(OpenFiles& files, const Manifest::Entry& entry, const Slice& slice, void* out) {
  const auto size = static_cast<int64_t>(size_of(entry.dtype));
  for (const Manifest::Part& part : entry.parts) {
    int64_t offset = part.offset;
    for (const Box& stored : part.boxes) {
      char* to = static_cast<char*>(out);
      for (const Box& wanted : slice.boxes) {
        const std::optional<Box> common = intersection(stored, wanted);
        if (common) Reading(files.at(part.file), size).read(runs_of(*common, stored, wanted), offset, to);
        to += wanted.count() * size;
      }
      offset += stored.count() * size;
    }
  }
}

}  // namespace birkhoff
