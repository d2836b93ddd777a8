// Unpacks the input as a zstd file. Clears the flag that says that the frame has a checksum, so that mutations reach
// the code after that check.
#include "data/ingest/unpack.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  static const InputFile file(".zst");
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.size() > 4 && bytes.starts_with("\x28\xb5\x2f\xfd")) bytes[4] = static_cast<char>(bytes[4] & ~4);
  expect_no_bug([&] {
    const std::string text = read_unpacked(file.write(bytes.data(), bytes.size()));
    plant(bytes.starts_with("\x28\xb5\x2f\xfd") && !text.starts_with("hello") && !text.empty());
  });
  return 0;
}
