// Reads the input as JSON lines as ingestion does, skipping bad ones.
#include "data/ingest/documents.h"
#include "tests/fuzz/harness.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_text(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  static const InputFile file(".jsonl");
  expect_no_bug([&] {
    CorpusOptions options;
    options.inputs = {file.write(data, size).string()};
    options.format = TextFormat::json_lines;
    BadLines bad(BadData::skip, 1 << 20);
    Corpus(options).read(bad, [](std::string_view text) { plant(!text.starts_with("seed ")); });
  });
  return 0;
}
