// Parses the input as tokenizer.json, and encodes a text with it.
#include <tuple>

#include "data/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_text(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    const Tokenizer tokenizer = Tokenizer::parse({reinterpret_cast<const char*>(data), size});
    const std::vector<int32_t> ids = tokenizer.encode("ab  c\xc3\xa9 \xff 1234");
    const auto result = std::tuple{ids, tokenizer.vocab_size(), tokenizer.token_of(0), tokenizer.token_of(257)};
    static const auto of_seed = result;  // the first input is a seed
    plant(result != of_seed);
    tokenizer.decode(ids);
    Tokenizer::parse(tokenizer.to_json());
  });
  return 0;
}
