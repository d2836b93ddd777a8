// Parses the input as the body of a checkpoint manifest, with a matching checksum.
#include "data/json/json.h"
#include "tests/fuzz/harness.h"
#include "trainer/checkpoint/layout.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_text(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    Json body = parse_json({reinterpret_cast<const char*>(data), size}, "f");
    const std::string checksum = json_checksum(body);
    const Json whole{{"xxh3", checksum}, {"manifest", std::move(body)}};
    Defects defects;
    const Manifest manifest = parse_manifest(whole.dump(), "f", defects);
    check_layout(manifest, defects);  // also if the manifest has defects, on what could be read
    defects.throw_if_any("f");
    parse_manifest(to_text(manifest), "again");
    plant(manifest.step != 20 || !manifest.integers.contains("trainer.steps") ||
          !manifest.texts.contains("data.cursor"));
    check_layout(manifest);
    join({manifest});
  });
  return 0;
}
