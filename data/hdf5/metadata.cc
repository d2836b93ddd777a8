#include "data/hdf5/metadata.h"

#include <algorithm>

#include "data/file/regular_file.h"
#include "kernels/core/error.h"

namespace birkhoff::h5 {

// Largest block that is read. Eight attributes of 64 KiB, the most that a header of ours can hold, need far less.
constexpr uint64_t kMaxBlock = 16 << 20;
// Bytes read at a time. The header of a tensor has about 300, so one read usually covers it.
constexpr uint64_t kReadAhead = 1 << 10;

uint64_t Fields::number(size_t width) {
  const std::string_view bytes = text(width);
  uint64_t value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::string_view Fields::text(uint64_t length) {
  if (length > bytes_.size()) damaged("a message is shorter than what it holds");
  const std::string_view result = bytes_.substr(0, length);
  bytes_.remove_prefix(length);
  return result;
}

void Fields::expect(bool right, const char* wrong) const {
  if (!right) damaged(wrong);
}

void Fields::damaged(const std::string& why) const { throw DataError(*what_ + ": damaged: " + why); }
void Fields::refuse(const std::string& why) const { throw DataError(*what_ + ": " + why); }

Metadata::Metadata(const std::filesystem::path& path)
    : file_(BulkFile::open_to_read(path)), size_(static_cast<uint64_t>(regular_file_bytes(path))) {}

std::string Metadata::bytes(uint64_t at, uint64_t count, const std::string& what) {
  if (!lies_within(at, count) || count > kMaxBlock)
    throw DataError(concat(what, ": damaged: ", count, " bytes of metadata at byte ", at, " lie outside the ", size_,
                           " bytes of the file"));
  if (at < ahead_at_ || count > ahead_.size() || at - ahead_at_ > ahead_.size() - count) {
    ahead_.resize(std::max(count, std::min(kReadAhead, size_ - at)));
    file_.read(static_cast<int64_t>(at), ahead_.data(), ahead_.size());
    ahead_at_ = at;
  }
  return ahead_.substr(at - ahead_at_, count);
}

std::string Metadata::block(uint64_t at, uint64_t count, const std::string& signature, const std::string& what) {
  std::string block = bytes(at, count, what);
  if (!block.starts_with(signature)) throw DataError(concat(what, ": damaged: no ", signature, " is at byte ", at));
  if (!visited_.insert(at).second) throw DataError(concat(what, ": damaged: two links lead to byte ", at));
  return block;
}

}  // namespace birkhoff::h5
