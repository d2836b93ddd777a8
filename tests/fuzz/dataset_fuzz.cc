// Parses the input as dataset.json, with its checksum recomputed.
#include "data/json/json.h"
#include "data/shard/manifest.h"
#include "tests/fuzz/harness.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_text(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  expect_no_bug([&] {
    Json json = parse_json({reinterpret_cast<const char*>(data), size}, "f");
    if (json.is_object()) {
      json.erase("xxh3");
      json["xxh3"] = json_checksum(json);
    }
    Defects defects;
    const DatasetManifest manifest = parse_dataset_manifest(json.dump(), "f", defects);
    defects.throw_if_any("f");
    plant(manifest.begin_token != 1 || manifest.vocab_size != 100 || manifest.tokenizer_digest != "digest");
    for (const auto& [name, split] : manifest.splits) manifest.split(name);
  });
  return 0;
}
