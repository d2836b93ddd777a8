// Compares the HDF5 metadata of a tensor file with the manifest of the seeds, with all checksums of the metadata
// recomputed.
#include <tuple>

#include "data/hdf5/file.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/hdf5_checksums.h"
#include "trainer/checkpoint/layout.h"

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  return birkhoff::mutate_in_place(data, size, most, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace birkhoff;
  static const InputFile file(".h5");
  std::string bytes(reinterpret_cast<const char*>(data), size);
  make_h5_checksums(bytes);
  file.write(bytes.data(), bytes.size());
  Manifest manifest;
  for (const auto& [name, dtype, count] :
       {std::tuple{"model.a", DType::f32, 12}, {"model.b", DType::bf16, 7}, {"model.none", DType::u8, 0}}) {
    Manifest::Entry& entry = manifest.tensors[name];
    entry.dtype = dtype;
    entry.shape = {count};
    entry.parts.push_back({file.path().filename().string(), Slice::all(entry.shape).boxes, 0, ""});
  }
  expect_no_bug([&] {
    const H5File h5 = H5File::open(file.path());
    for (const std::string& name : h5.root().names())
      plant(name.starts_with("model.") && name != "model.a" && name != "model.b" && name != "model.none");
    for (const std::string name : {"model.a", "model.b", "model.none"}) {
      expect_no_bug([&] { h5.root().dataset(name); });
    }
  });
  expect_no_bug([&] { check_layout(file.folder(), manifest, file.path().filename().string()); });
  return 0;
}
