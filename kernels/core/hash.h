#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace birkhoff {

// XXH3-64 of `bytes` bytes: the checksum of every file format here. The value is stable across machines and versions.
// Source: github.com/Cyan4973/xxHash, doc/xxhash_spec.md.
uint64_t hash64(const void* data, size_t bytes);

// Computes hash64 incrementally: the digest is hash64 of the concatenated pieces, wherever they are cut.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  Hasher& update(const void* data, size_t bytes);
  uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Sixteen lower-case hexadecimal digits, the way checksums are printed and stored as text.
std::string hex16(uint64_t value);

}  // namespace birkhoff
