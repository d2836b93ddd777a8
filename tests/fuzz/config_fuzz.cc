// YAML as a config.
#include "tests/fuzz/harness.h"
#include "trainer/config/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    const LoadedConfig loaded = parse_config(std::string(reinterpret_cast<const char*>(data), size), "f.yaml");
    plant(loaded.config.run.steps != 4);
  });
  return 0;
}
