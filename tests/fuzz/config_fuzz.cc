// Parses the input as a YAML config.
#include "tests/fuzz/harness.h"
#include "trainer/config/reader.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_text(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    const LoadedConfig loaded = parse_config(std::string(reinterpret_cast<const char*>(data), size), "f.yaml");
    plant(loaded.config.run.steps != 4 || loaded.config.run.name != "t" || loaded.config.batch.sequence_length != 32 ||
          loaded.config.data.tokenizer != "tokenizer.json");
  });
  return 0;
}
