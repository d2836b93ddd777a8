// What libhdf5 follows without asking whether it lies in the file: addresses in object headers. It crashes where one
// leads outside, so that they are looked at before it opens a file. Source: HDF5 File Format Specification 3.0,
// sections II.A (superblock), IV.A.1.b (object header of version 2), IV.A.2.c (link info), IV.A.2.g (link), IV.A.2.q
// (continuation), IV.A.2.v (attribute info).
#include <cstring>
#include <set>

#include "data/file/regular_file.h"
#include "data/hdf5/bulk_file.h"
#include "data/hdf5/file.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr uint64_t kUndefined = ~uint64_t{0};
constexpr size_t kRootAddress = 36;
constexpr size_t kMaxObjects = 1 << 20;
enum Message : uint8_t { kLinkInfo = 2, kLink = 6, kContinuation = 16, kAttributeInfo = 21 };

class Headers {
 public:
  explicit Headers(const std::filesystem::path& path)
      : path_(path), file_(BulkFile::open_to_read(path)), size_(static_cast<uint64_t>(regular_file_bytes(path))) {}

  void check() {
    std::vector<uint64_t> ahead{number(bytes(kRootAddress, 8), 0, 8)};
    while (!ahead.empty() && seen_.size() < kMaxObjects) {
      const uint64_t address = ahead.back();
      ahead.pop_back();
      if (seen_.insert(address).second) check_object(address, ahead);
    }
  }

 private:
  [[noreturn]] void refuse(const char* what, uint64_t address) const {
    throw DataError(concat(path_.string(), ": damaged: ", what, " at byte ", address, " of ", size_));
  }

  std::string bytes(uint64_t at, uint64_t count) const {
    if (at > size_ || count > size_ - at) refuse("a header leads outside the file,", at);
    std::string block(count, '\0');
    file_.read(static_cast<int64_t>(at), block.data(), count);
    return block;
  }
  // Little-endian; what lies behind the end of the block is 0.
  static uint64_t number(const std::string& block, size_t at, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width && at + i < block.size(); ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(block[at + i])) << (8 * i);
    return value;
  }

  void check_signature(uint64_t address, const char* signature) const {
    if (address == kUndefined) return;
    if (bytes(address, 4) != signature) refuse((std::string("no ") + signature + " is").c_str(), address);
  }

  void check_object(uint64_t address, std::vector<uint64_t>& ahead) {
    check_signature(address, "OHDR");
    const std::string head = bytes(address, 6);
    const uint64_t flags = number(head, 5, 1), width = uint64_t{1} << (flags & 3);
    const uint64_t at = address + 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
    const uint64_t size = number(bytes(at, width), 0, width);
    check_messages(bytes(at + width, size), (flags & 4) != 0, ahead, 0);
  }

  void check_messages(const std::string& chunk, bool ordered, std::vector<uint64_t>& ahead, int depth) {
    const size_t head = ordered ? 6 : 4;
    for (size_t at = 0; at + head <= chunk.size();) {
      const uint64_t type = number(chunk, at, 1), size = number(chunk, at + 1, 2), flags = number(chunk, at + 3, 1);
      at += head;
      if (size > chunk.size() - at) refuse("a message is longer than its header,", size);
      if ((flags & 2) == 0) check_message(static_cast<uint8_t>(type), chunk.substr(at, size), ordered, ahead, depth);
      at += size;
    }
  }

  void check_message(uint8_t type, const std::string& body, bool ordered, std::vector<uint64_t>& ahead, int depth) {
    if (type == kContinuation) {
      const uint64_t at = number(body, 0, 8), length = number(body, 8, 8);
      if (depth > 100 || length < 8) refuse("a header is continued in no block", at);
      check_signature(at, "OCHK");
      const std::string block = bytes(at, length);
      check_messages(block.substr(4, length - 8), ordered, ahead, depth + 1);
    } else if (type == kLinkInfo || type == kAttributeInfo) {
      const uint64_t flags = number(body, 1, 1);
      const size_t at = 2 + (flags & 1 ? (type == kLinkInfo ? 8 : 2) : 0);
      if (body.size() < at + 16 + (flags & 2 ? 8 : 0)) refuse("a message is too short,", body.size());
      check_signature(number(body, at, 8), "FRHP");
      check_signature(number(body, at + 8, 8), "BTHD");
      if (flags & 2) check_signature(number(body, at + 16, 8), "BTHD");
    } else if (type == kLink) {
      follow(body, ahead);
    }
  }

  // Hard links alone; the others are refused by whoever opens one.
  static void follow(const std::string& body, std::vector<uint64_t>& ahead) {
    const uint64_t flags = number(body, 1, 1), width = uint64_t{1} << (flags & 3);
    if (flags & 8 && number(body, 2, 1) != 0) return;
    const size_t at = 2 + (flags & 8 ? 1 : 0) + (flags & 4 ? 8 : 0) + (flags & 0x10 ? 1 : 0);
    const uint64_t name = number(body, at, width);
    if (name > body.size() || at + width + name + 8 > body.size()) return;
    ahead.push_back(number(body, at + width + name, 8));
  }

  const std::filesystem::path& path_;
  BulkFile file_;
  uint64_t size_;
  std::set<uint64_t> seen_;
};

}  // namespace

void check_h5_headers(const std::filesystem::path& path) { Headers(path).check(); }

}  // namespace birkhoff
