#pragma once
// Shared by the .cc files of this folder alone: what HDF5 records about a file, read without libhdf5 and held to what
// our files have. libhdf5 trusts sizes and addresses, and crashes where they mislead it.
// Source of all layouts: HDF5 File Format Specification 3.0, https://docs.hdfgroup.org, by section number.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/hdf5/bulk_file.h"

namespace birkhoff::h5 {

constexpr uint64_t kUndefined = ~uint64_t{0};

// The fields of a block of metadata, from front to back. Whatever does not fit is a DataError with the block's name.
class Fields {
 public:
  Fields(std::string_view bytes, const std::string& what) : bytes_(bytes), what_(&what) {}

  uint64_t number(size_t width);  // little-endian
  std::string_view text(uint64_t length);
  Fields part(uint64_t length) { return {text(length), *what_}; }
  size_t left() const { return bytes_.size(); }
  void expect(bool right, const char* wrong) const;
  void expect_end() const { expect(left() == 0, "a message is longer than what it holds"); }
  [[noreturn]] void damaged(const std::string& why) const;
  // Of what HDF5 can hold and our files do not.
  [[noreturn]] void refuse(const std::string& why) const;
  const std::string& what() const { return *what_; }

 private:
  std::string_view bytes_;
  const std::string* what_;
};

// The file that is looked at, and which of its blocks have been met.
class Metadata {
 public:
  explicit Metadata(const std::filesystem::path& path);

  uint64_t size() const { return size_; }
  std::string bytes(uint64_t at, uint64_t count, const std::string& what);
  // A block that nothing else has led to, with this signature and version.
  std::string block(uint64_t at, uint64_t count, const std::string& signature, const std::string& what);
  bool lies_within(uint64_t at, uint64_t count) const { return at <= size_ && count <= size_ - at; }

 private:
  BulkFile file_;
  uint64_t size_;
  std::set<uint64_t> met_;
  std::string ahead_;  // the bytes that were read last, from ahead_at_ on
  uint64_t ahead_at_ = 0;
};

struct Link {
  std::string name;
  uint64_t address = kUndefined;  // of the object; undefined for links of other kinds than hard ones
};

// Messages of an object header, their bodies whole.
uint64_t check_dataspace(Fields body);  // returns the number of elements
uint64_t check_datatype(Fields body);   // of numbers and strings; returns the bytes of an element
void check_attribute(Fields body);
void check_fill_value(Fields body, uint64_t element_bytes);
Link check_link(Fields body);

// Links that a group keeps elsewhere than in its header, which it does with more than eight.
std::vector<Link> check_dense_links(Metadata& file, uint64_t heap, uint64_t by_name, const std::string& what);
// The index of links by the order of their creation: its blocks alone.
void check_order_index(Metadata& file, uint64_t index, const std::string& what);

}  // namespace birkhoff::h5
