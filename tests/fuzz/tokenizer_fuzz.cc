// tokenizer.json, and text through it.
#include "data/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    const Tokenizer tokenizer = Tokenizer::parse({reinterpret_cast<const char*>(data), size});
    const std::vector<int32_t> ids = tokenizer.encode("ab  c\xc3\xa9 \xff 1234");
    static const std::vector<int32_t> of_seed = ids;  // the first that is read
    plant(ids != of_seed);
    tokenizer.decode(ids);
    Tokenizer::parse(tokenizer.to_json());
  });
  return 0;
}
