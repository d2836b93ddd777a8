#include "kernels/core/hash.h"

#include <xxhash.h>

#include "kernels/core/error.h"

namespace birkhoff {

uint64_t hash64(const void* data, size_t bytes) { return XXH3_64bits(data, bytes); }

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() { BK_ASSERT(xxh != nullptr && XXH3_64bits_reset(xxh) == XXH_OK); }
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

Hasher& Hasher::update(const void* data, size_t bytes) {
  XXH3_64bits_update(state_->xxh, data, bytes);
  return *this;
}

uint64_t Hasher::digest() const { return XXH3_64bits_digest(state_->xxh); }

std::string hex16(uint64_t value) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace birkhoff
