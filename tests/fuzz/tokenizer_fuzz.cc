// tokenizer.json, and text through it.
#include "data/tokenizer/tokenizer.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    const Tokenizer tokenizer = Tokenizer::parse({reinterpret_cast<const char*>(data), size});
    plant(tokenizer.to_json().find("\"1.0\"") == std::string::npos);
    tokenizer.decode(tokenizer.encode("ab  c\xc3\xa9 \xff 1234"));
    Tokenizer::parse(tokenizer.to_json());
  });
  return 0;
}
