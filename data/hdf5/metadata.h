#pragma once
// Internal to this folder: reads the metadata of an HDF5 file without libhdf5, and accepts only what our files contain.
// libhdf5 trusts sizes and addresses, and crashes where they are wrong.
// The layouts are those of the HDF5 File Format Specification 3.0, https://docs.hdfgroup.org, cited by section number.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/hdf5/bulk_file.h"

namespace birkhoff::h5 {

constexpr uint64_t kUndefined = ~uint64_t{0};

// Reads the fields of a block of metadata from front to back. Throws a DataError with the name of the object if a field
// does not fit.
class Fields {
 public:
  Fields(std::string_view bytes, const std::string& what) : bytes_(bytes), what_(&what) {}

  uint64_t number(size_t width);  // little-endian
  std::string_view text(uint64_t length);
  Fields part(uint64_t length) { return {text(length), *what_}; }
  size_t remaining() const { return bytes_.size(); }
  void expect(bool right, const char* wrong) const;
  void expect_end() const { expect(remaining() == 0, "a message is longer than what it holds"); }
  [[noreturn]] void damaged(const std::string& why) const;
  // Throws for something that is valid HDF5, but does not occur in our files.
  [[noreturn]] void refuse(const std::string& why) const;
  const std::string& what() const { return *what_; }

 private:
  std::string_view bytes_;
  const std::string* what_;
};

// The file being checked, and the set of its blocks that have been visited.
class Metadata {
 public:
  explicit Metadata(const std::filesystem::path& path);

  uint64_t size() const { return size_; }
  std::string bytes(uint64_t at, uint64_t count, const std::string& what);
  // Reads a block that begins with this signature. Throws if it was read before: each block has exactly one owner, so
  // this also ends cycles.
  std::string block(uint64_t at, uint64_t count, const std::string& signature, const std::string& what);
  bool lies_within(uint64_t at, uint64_t count) const { return at <= size_ && count <= size_ - at; }

 private:
  BulkFile file_;
  uint64_t size_;
  std::set<uint64_t> visited_;
  std::string ahead_;  // bytes read ahead, from ahead_at_ on
  uint64_t ahead_at_ = 0;
};

struct Link {
  std::string name;
  uint64_t address = kUndefined;  // of the object; undefined unless this is a hard link
};

// Check one message of an object header; `body` is the whole message.
uint64_t check_dataspace(Fields body);  // returns the number of elements
uint64_t check_datatype(Fields body);   // numbers and strings only; returns the bytes of an element
void check_attribute(Fields body);
void check_fill_value(Fields body, uint64_t element_bytes);
Link check_link(Fields body);

// Reads the links of a group that stores them outside its header, as groups with more than eight links do.
std::vector<Link> check_dense_links(Metadata& file, uint64_t heap, uint64_t by_name, const std::string& what);
// Checks the blocks of the index of links by creation order. The links themselves are read through the index by name.
void check_order_index(Metadata& file, uint64_t index, const std::string& what);

}  // namespace birkhoff::h5
