// Reads the links of a group that has more than eight. They are link messages in a fractal heap (section III.G), which
// are found through an index, a B-tree of version 2 (section III.A.2). All versions of HDF5 create both with the same
// parameters for this purpose, so exactly these are expected here.
#include <map>

#include "data/hdf5/metadata.h"
#include "kernels/core/error.h"

namespace birkhoff::h5 {
namespace {

constexpr uint64_t kWidth = 4, kStart = 512, kMaxDirect = 64 << 10, kMaxLink = 4 << 10;  // heap
constexpr uint64_t kHeapBits = 32, kDirectRows = 9, kMaxRows = 22;
constexpr uint64_t kHeapHeader = 146, kDirectHeader = 21, kIndirectHeader = 17;
constexpr uint64_t kNode = 512, kIndexHeader = 38, kNodeOverhead = 10, kMaxDepth = 16;
enum IndexType : uint64_t { kByName = 5, kByOrder = 6 };

uint64_t row_size(uint64_t row) { return row == 0 ? kStart : kStart << (row - 1); }
uint64_t row_begin(uint64_t row) { return row == 0 ? 0 : kWidth * row_size(row); }

class Heap {
 public:
  Heap(Metadata& file, uint64_t address, const std::string& what) : file_(file), address_(address), what_(what) {
    const std::string bytes = file.block(address, kHeapHeader, "FRHP", what);
    Fields header(std::string_view(bytes).substr(4), what);
    const auto expect_field = [&header](size_t width, uint64_t value) {
      header.expect(header.number(width) == value, "the heap of a group's links has an unknown form");
    };
    expect_field(1, 0), expect_field(2, 7), expect_field(2, 0);  // version, bytes of an ID, bytes of filters
    expect_field(1, 2), expect_field(4, kMaxLink);               // flags: blocks have checksums; largest managed object
    expect_field(8, 0), expect_field(8, kUndefined);             // no huge objects
    for (int i = 0; i < 6; ++i) header.number(8);                // free space, allocated space and number of objects
    for (int i = 0; i < 4; ++i) expect_field(8, 0);              // huge and tiny objects
    expect_field(2, kWidth), expect_field(8, kStart), expect_field(8, kMaxDirect);
    expect_field(2, kHeapBits), expect_field(2, 1);
    const uint64_t root = header.number(8), rows = header.number(2);
    header.expect(rows <= kMaxRows, "a heap has too many rows");
    if (root == kUndefined) return;
    if (rows == 0) {
      add_direct(root, 0, kStart);
    } else {
      add_indirect(root, 0, rows);
    }
  }

  // The link message with this ID (section III.G, managed objects).
  std::string link(Fields id) const {
    id.expect(id.number(1) == 0, "a link has an unknown place");
    const uint64_t begin = id.number(4), length = id.number(2);
    const auto next = blocks_.upper_bound(begin);
    id.expect(next != blocks_.begin(), "a link lies in no block of its heap");
    const auto& [first, block] = *std::prev(next);
    const bool within = begin - first >= kDirectHeader && length <= kMaxLink && begin - first + length <= block.size;
    id.expect(within, "a link lies in no block of its heap");
    return file_.bytes(block.address + (begin - first), length, what_);
  }

 private:
  struct Direct {
    uint64_t address, size;
  };

  Fields begin_block(std::string_view bytes, uint64_t begin) const {
    Fields header(bytes.substr(4), what_);
    const uint64_t version = header.number(1), owner = header.number(8), recorded = header.number(4);
    header.expect(version == 0 && owner == address_ && recorded == begin, "a heap has a block of another place");
    return header;
  }

  void add_direct(uint64_t at, uint64_t begin, uint64_t size) {
    const std::string bytes = file_.block(at, kDirectHeader, "FHDB", what_);
    const Fields header = begin_block(bytes, begin);
    header.expect(file_.lies_within(at, size), "a block leads outside the file");
    blocks_[begin] = {at, size};
  }

  void add_indirect(uint64_t at, uint64_t begin, uint64_t rows) {
    const std::string bytes = file_.block(at, kIndirectHeader + rows * kWidth * 8 + 4, "FHIB", what_);
    Fields header = begin_block(bytes, begin);
    for (uint64_t row = 0; row < rows; ++row) {
      for (uint64_t i = 0; i < kWidth; ++i) {
        const uint64_t child = header.number(8), place = begin + row_begin(row) + i * row_size(row);
        if (child == kUndefined) continue;
        if (row < kDirectRows) {
          add_direct(child, place, row_size(row));
        } else {  // the child has as many rows as add up to the block size of this row
          add_indirect(child, place, row - kDirectRows + 7);
        }
      }
    }
  }

  Metadata& file_;
  uint64_t address_;
  const std::string& what_;
  std::map<uint64_t, Direct> blocks_;  // by offset in the address space of the heap
};

uint64_t bytes_to_count(uint64_t most) {
  uint64_t bytes = 1;
  while (most >>= 8) ++bytes;
  return bytes;
}

// Reads a B-tree and calls use(record) for every record. The order is that of the nodes, each before its children.
template <class Use>
class Index {
 public:
  Index(Metadata& file, uint64_t address, IndexType type, const std::string& what, Use use)
      : file_(file), type_(type), record_(type == kByName ? 11 : 15), what_(what), use_(use) {
    const std::string bytes = file.block(address, kIndexHeader, "BTHD", what);
    Fields header(std::string_view(bytes).substr(4), what);
    const bool known =
        header.number(1) == 0 && header.number(1) == type && header.number(4) == kNode && header.number(2) == record_;
    const uint64_t depth = header.number(2);
    header.expect(known && depth <= kMaxDepth, "the index of a group's links has an unknown form");
    header.number(2);  // split and merge percentages
    const uint64_t root = header.number(8), records = header.number(2), total = header.number(8);
    header.expect((root == kUndefined) == (records == 0), "an index has no root");
    plan(depth);
    if (root != kUndefined) check_node(root, records, total, depth);
  }

 private:
  struct Level {
    // Most records in a node; most in a node and its descendants; width in bytes of the field of such a total.
    uint64_t most, most_below, total_bytes;
  };

  // Computes the capacity of nodes at each level, from which the widths of the fields in a node follow.
  void plan(uint64_t depth) {
    const uint64_t most = (kNode - kNodeOverhead) / record_;
    levels_ = {{most, most, 0}};
    count_bytes_ = bytes_to_count(most);
    while (levels_.size() <= depth) {
      const Level& below = levels_.back();
      const uint64_t pointer = 8 + count_bytes_ + below.total_bytes;
      const uint64_t records = (kNode - kNodeOverhead - pointer) / (record_ + pointer);
      const uint64_t total = (records + 1) * below.most_below + records;
      levels_.push_back({records, total, bytes_to_count(total)});
    }
  }

  void check_node(uint64_t at, uint64_t records, uint64_t total, uint64_t depth) {
    const std::string bytes = file_.block(at, kNode, depth == 0 ? "BTLF" : "BTIN", what_);
    Fields node(std::string_view(bytes).substr(4), what_);
    const bool known = node.number(1) == 0 && node.number(1) == type_;
    node.expect(known && records > 0 && records <= levels_[depth].most, "a node of an index has an unknown form");
    node.expect(depth > 0 || total == records, "an index counts other records than it has");
    for (uint64_t i = 0; i < records; ++i) use_(node.part(record_));
    uint64_t below = records;
    for (uint64_t i = 0; i <= records && depth > 0; ++i) {
      const uint64_t child = node.number(8), count = node.number(count_bytes_);
      const uint64_t child_total = depth > 1 ? node.number(levels_[depth - 1].total_bytes) : count;
      check_node(child, count, child_total, depth - 1);
      node.expect(child_total <= total, "an index counts other records than it has");
      below += child_total;
    }
    node.expect(below == total, "an index counts other records than it has");
  }

  Metadata& file_;
  IndexType type_;
  uint64_t record_;
  const std::string& what_;
  Use use_;
  std::vector<Level> levels_;
  uint64_t count_bytes_ = 0;
};

}  // namespace

std::vector<Link> check_dense_links(Metadata& file, uint64_t heap, uint64_t by_name, const std::string& what) {
  const Heap links(file, heap, what);
  std::vector<Link> found;
  Index(file, by_name, kByName, what, [&](Fields record) {
    record.number(4);  // the hash of the name
    const std::string body = links.link(record);
    found.push_back(check_link({body, what}));
  });
  return found;
}

void check_order_index(Metadata& file, uint64_t index, const std::string& what) {
  Index(file, index, kByOrder, what, [](Fields) {});
}

}  // namespace birkhoff::h5
