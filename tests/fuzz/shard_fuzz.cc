// Reads the input as a shard (its HDF5 metadata, tables and samples), with all checksums of the metadata and the index
// recomputed.
#include "data/shard/reader.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/hdf5_checksums.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_in_place(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  static const InputFile file(".h5");
  std::string bytes(reinterpret_cast<const char*>(data), size);
  make_h5_checksums(bytes);
  file.write(bytes.data(), bytes.size());
  expect_no_bug([&] {
    make_shard_checksum(file.path(), bytes);
    make_h5_checksums(bytes);
    file.write(bytes.data(), bytes.size());
    ShardReader reader(file.path());
    plant(reader.vocab_size() != 100);
    for (int64_t i = 0; i < std::min<int64_t>(reader.num_samples(), 100); ++i) {
      expect_no_bug([&] { reader.read(i); });
    }
  });
  return 0;
}
