// JSON lines as they are ingested.
#include "data/ingest/documents.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  static const InputFile file(".jsonl");
  expect_no_bug([&] {
    int documents = 0;
    read_documents(file.write(data, size), {}, "text", [&](std::string_view) { ++documents; });
    plant(documents > 0 && documents != 3);
  });
  return 0;
}
