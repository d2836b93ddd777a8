// Walks the object headers of a file from the root, and accepts only what our files contain: see metadata.h.
#include <optional>

#include "data/hdf5/file.h"
#include "data/hdf5/metadata.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace h5 {
namespace {

enum Message : uint8_t {
  kNil = 0,
  kDataspace = 1,
  kLinkInfo = 2,
  kDatatype = 3,
  kFillValue = 5,
  kLink = 6,
  kExternalFiles = 7,
  kLayout = 8,
  kGroupInfo = 10,
  kFilters = 11,
  kAttribute = 12,
  kContinuation = 16,
  kModificationTime = 18,
  kAttributeInfo = 21,
  kReferenceCount = 22
};

struct Place {
  std::string name;
  uint64_t address;
};

// One object: reads and checks the messages of its header one by one, and keeps what has to be checked together.
class Object {
 public:
  Object(Metadata& file, const Place& place) : file_(file), what_(place.name) { read(place.address); }

  // Checks the messages against each other, and returns the objects that the links of a group lead to.
  std::vector<Place> check() {
    const bool dataset = has(kDataspace) || has(kDatatype) || has(kLayout) || has(kFillValue);
    const Fields nothing({}, what_);
    nothing.expect(dataset != has(kLinkInfo), "an object is neither a dataset nor a group");
    if (dataset) {
      nothing.expect(
          has(kDataspace) && has(kDatatype) && has(kLayout) && has(kFillValue) && !has(kGroupInfo) && links_.empty(),
          "a dataset has other messages than one has");
      check_dataset();
    }
    std::vector<Place> children;
    for (const Link& link : links_)
      if (link.address != kUndefined) children.push_back({what_ + "/" + link.name, link.address});
    return children;
  }

 private:
  bool has(uint8_t type) const { return (seen_types_ >> type & 1) != 0; }

  // Section IV.A.1.b.
  void read(uint64_t address) {
    const std::string head = file_.block(address, 6, "OHDR", what_);
    Fields fields(std::string_view(head).substr(4), what_);
    const uint64_t version = fields.number(1), flags = fields.number(1);
    fields.expect(version == 2 && flags < 64, "an object header has an unknown form");
    ordered_ = (flags & 4) != 0;
    const uint64_t at = address + 6 + (flags & 32 ? 16 : 0) + (flags & 16 ? 4 : 0), width = uint64_t{1} << (flags & 3);
    const std::string bytes = file_.bytes(at, width, what_);
    const uint64_t size = Fields(bytes, what_).number(width);
    fields.expect(file_.lies_within(at + width + 4, size), "an object header leads outside the file");
    read_messages(file_.bytes(at + width, size, what_));
    for (size_t i = 0; i < continued_.size(); ++i) {
      const auto [begin, length] = continued_[i];
      // Signature and checksum take 8 bytes. A continuation may be continued again, so the list may grow in this loop.
      fields.expect(length >= 8 && length <= file_.size(), "an object header is continued in no block");
      const std::string block = file_.block(begin, length, "OCHK", what_);
      read_messages(block.substr(4, length - 8));
    }
  }

  void read_messages(const std::string& chunk) {
    const size_t head = ordered_ ? 6 : 4;
    Fields fields(chunk, what_);
    while (fields.remaining() >= head) {
      const auto type = static_cast<uint8_t>(fields.number(1));
      const uint64_t size = fields.number(2), flags = fields.number(1);
      if (ordered_) fields.number(2);
      fields.expect((flags & 2) == 0, "a message is shared");
      check_message(type, fields.part(size));
    }
  }

  void check_message(uint8_t type, Fields body) {
    // All other messages may occur once; a second one would silently replace what was checked.
    const bool several = type == kNil || type == kLink || type == kAttribute || type == kContinuation;
    body.expect(type < 32 && (several || !has(type)), "an object header has a message twice or an unknown one");
    seen_types_ |= uint32_t{1} << type;
    switch (type) {
      case kNil:
        return;
      case kDataspace:
        dataspace_ = check_dataspace(body);
        return;
      case kDatatype:
        element_ = check_datatype(body);
        return;
      case kFillValue:
        fill_ = body.text(body.remaining());  // checked later, when the size of an element is known
        return;
      case kLayout:
        return read_layout(body);
      case kAttribute:
        return check_attribute(body);
      case kLink:
        links_.push_back(check_link(body));
        return;
      case kExternalFiles:
        body.refuse("its bytes lie in another file, expected them in this one");
      case kFilters:
        body.refuse("its layout is not contiguous: it is packed");
      default:
        return check_structure(type, body);
    }
  }

  // Messages about the structure of an object rather than its contents.
  void check_structure(uint8_t type, Fields body) {
    if (type == kLinkInfo) return check_link_info(body);
    if (type == kAttributeInfo) return check_attribute_info(body);
    if (type == kContinuation) {
      const uint64_t begin = body.number(8);
      continued_.emplace_back(begin, body.number(8));
    } else if (type == kGroupInfo) {  // section IV.A.2.k
      const uint64_t version = body.number(1), flags = body.number(1);
      body.expect(version == 0 && flags < 4, "a group has an unknown form");
      if (flags & 1) body.number(4);
      if (flags & 2) body.number(4);
    } else if (type == kModificationTime) {  // section IV.A.2.s
      body.expect(body.number(1) == 1, "a time has an unknown form");
      body.text(7);
    } else if (type == kReferenceCount) {  // section IV.A.2.w
      body.expect(body.number(1) == 0, "a reference count has an unknown form");
      body.number(4);
    } else {
      body.refuse(concat("has a message of HDF5's type ", int{type}, ", which only objects of other kinds have"));
    }
    body.expect_end();
  }

  // Section IV.A.2.c.
  void check_link_info(Fields body) {
    const uint64_t version = body.number(1), flags = body.number(1);
    body.expect(version == 0 && flags < 4, "the links of a group have an unknown form");
    if (flags & 1) body.number(8);
    const uint64_t heap = body.number(8), by_name = body.number(8), by_order = flags & 2 ? body.number(8) : kUndefined;
    body.expect_end();
    body.expect((heap == kUndefined) == (by_name == kUndefined), "the links of a group have no index");
    if (heap != kUndefined) links_ = check_dense_links(file_, heap, by_name, what_);
    if (by_order != kUndefined) check_order_index(file_, by_order, what_);
  }

  // Section IV.A.2.v.
  static void check_attribute_info(Fields body) {
    const uint64_t version = body.number(1), flags = body.number(1);
    body.expect(version == 0 && flags < 4, "attributes have an unknown form");
    if (flags & 1) body.number(2);
    const uint64_t heap = body.number(8), by_name = body.number(8), by_order = flags & 2 ? body.number(8) : kUndefined;
    body.expect_end();
    if (heap != kUndefined || by_name != kUndefined || by_order != kUndefined)
      body.refuse("has more than 8 attributes, or one of more than 65536 bytes");
  }

  // Section IV.A.2.i, versions 3 and 4.
  void read_layout(Fields body) {
    const uint64_t version = body.number(1), kind = body.number(1);
    body.expect((version == 3 || version == 4) && kind <= 3, "a layout has an unknown form");
    if (kind != 1) body.refuse("its layout is not contiguous");
    offset_ = body.number(8);
    stored_ = body.number(8);
    body.expect_end();
  }

  void check_dataset() {
    const uint64_t element = *element_;
    check_fill_value({fill_, what_}, element);
    uint64_t bytes = 0;
    const Fields nothing({}, what_);
    if (__builtin_mul_overflow(*dataspace_, element, &bytes) || bytes > static_cast<uint64_t>(INT64_MAX))
      nothing.refuse("its extent does not fit 63 bits");
    if (offset_ == kUndefined) return;
    if (!file_.lies_within(offset_, bytes) || !file_.lies_within(offset_, stored_))
      nothing.refuse(
          concat("its ", bytes, " bytes at byte ", offset_, " lie outside the ", file_.size(), " bytes of the file"));
    nothing.expect(bytes == stored_, "a dataset has other bytes than its extent");
  }

  Metadata& file_;
  const std::string& what_;
  bool ordered_ = false;
  uint32_t seen_types_ = 0;                      // bit t: a message of type t was read
  std::optional<uint64_t> dataspace_, element_;  // number of elements; bytes of an element
  std::string fill_;
  uint64_t offset_ = kUndefined, stored_ = 0;
  std::vector<std::pair<uint64_t, uint64_t>> continued_;
  std::vector<Link> links_;
};

// The address of the root group. Section II.A, versions 2 and 3; check_h5_size() has checked the other fields.
uint64_t root_of(Metadata& file, const std::string& what) {
  const std::string bytes = file.bytes(0, 48, what);
  Fields fields(std::string_view(bytes).substr(12), what);
  const uint64_t base = fields.number(8), extension = fields.number(8);
  if (base != 0 || extension != kUndefined) fields.refuse("has an extended superblock, expected none");
  fields.number(8);
  return fields.number(8);
}

}  // namespace
}  // namespace h5

void check_h5_headers(const std::filesystem::path& path) {
  h5::Metadata file(path);
  std::vector<h5::Place> pending{{path.string(), h5::root_of(file, path.string())}};
  std::set<uint64_t> seen;
  while (!pending.empty()) {
    const h5::Place place = std::move(pending.back());
    pending.pop_back();
    if (!seen.insert(place.address).second) continue;  // several hard links may lead to one object
    for (h5::Place& next : h5::Object(file, place).check()) pending.push_back(std::move(next));
  }
}

}  // namespace birkhoff
