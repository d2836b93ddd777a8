// Files that HDF5 would open, but that are not ours: nothing outside the file is opened, and no memory is allocated for
// data that a file declares but does not contain.
#include <cstdlib>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>

#include "data/hdf5/file.h"
#include "kernels/core/error.h"
#include "tests/fuzz/hdf5_checksums.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class HostileH5 : public testing::Test {
 protected:
  // Creates a file in the format of HDF5 1.10, filled by the test through HDF5's own interface.
  std::filesystem::path make(const std::function<void(hid_t file)>& fill, const std::string& name = "a.h5") const {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    const auto path = dir_ / name;
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    fill(file);
    H5Fclose(file);
    H5Pclose(access);
    return path;
  }
  static void add_dataset(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& dims,
                          hid_t properties = H5P_DEFAULT) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Dclose(set);
    H5Sclose(space);
  }
  static void add_attribute(hid_t file, const char* name, hid_t type, const void* value,
                            std::vector<hsize_t> dims = {}) {
    const hid_t space =
        dims.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, value);
    H5Aclose(attribute);
    H5Sclose(space);
  }
  static hid_t contiguous() {
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(properties, H5D_CONTIGUOUS);
    H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
    return properties;
  }
  static std::string refusal(const std::filesystem::path& path, const std::function<void(const H5Group&)>& body) {
    try {
      const H5File file = H5File::open(path);
      body(file.root());
    } catch (const DataError& error) {
      return error.what();
    }
    return "accepted";
  }
  static std::string refusal(const std::filesystem::path& path, const std::string& dataset) {
    return refusal(path, [&](const H5Group& root) { root.dataset(dataset); });
  }
  const TempDir dir_;
};

TEST_F(HostileH5, LinksToElsewhereAreNotFollowed) {
  const auto other = make([](hid_t file) { add_dataset(file, "x", H5T_IEEE_F32LE, {4}, contiguous()); }, "other.h5");
  const auto path = make([&](hid_t file) {
    add_dataset(file, "here", H5T_IEEE_F32LE, {4}, contiguous());
    H5Lcreate_soft("/here", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external(other.c_str(), "/x", file, "external", H5P_DEFAULT, H5P_DEFAULT);
    // Opening the pipe would block the test.
    ::mkfifo((dir_ / "pipe").c_str(), 0600);
    H5Lcreate_external((dir_ / "pipe").c_str(), "/x", file, "pipe", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_EQ(refusal(path, "here"), "accepted");
  EXPECT_THAT(refusal(path, "soft"), HasSubstr("a.h5/soft is a soft link, expected an object of this file itself"));
  EXPECT_THAT(refusal(path, "external"), HasSubstr("/external is an external link"));
  EXPECT_THAT(refusal(path, "pipe"), HasSubstr("/pipe is an external link"));
  EXPECT_THAT(refusal(path, [](const H5Group& root) { root.group("external"); }), HasSubstr("an external link"));
}

TEST_F(HostileH5, BytesOfAnotherFileAreNotRead) {
  const auto path = make([&](hid_t file) {
    const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(external, (dir_ / "raw").c_str(), 0, 16);
    add_dataset(file, "external", H5T_IEEE_F32LE, {4}, external);
  });
  EXPECT_THAT(refusal(path, "external"), HasSubstr("its bytes lie in another file"));
}

TEST_F(HostileH5, OtherLayoutsTypesAndExtentsAreRefused) {
  const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE), compact = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t late = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk[] = {2}, huge = hsize_t{1} << 62;
  H5Pset_chunk(chunked, 1, chunk);
  H5Pset_layout(compact, H5D_COMPACT);
  H5Pset_layout(late, H5D_CONTIGUOUS);
  H5Pset_alloc_time(late, H5D_ALLOC_TIME_LATE);
  struct Case {
    hid_t type;
    std::vector<hsize_t> dims;
    hid_t properties;
    const char* expected;
  };
  for (const Case& c :
       std::vector<Case>{{H5T_IEEE_F32LE, {4}, chunked, "a.h5/a: its layout is not contiguous"},
                         {H5T_IEEE_F32LE, {4}, compact, "a.h5/a: its layout is not contiguous"},
                         {H5T_IEEE_F32LE, {1 << 20}, late, "a.h5/a: its bytes were never allocated"},
                         {H5T_STD_U8LE, {huge}, late, "a.h5/a: its bytes were never allocated"},
                         {H5T_STD_U8LE, {huge / 2, 16, 0}, late, "does not fit 63 bits"},
                         {H5T_STD_U8LE, {1, 1, 1, 1, 1, 1}, contiguous(), "it has 6 dims, at most 5 are supported"},
                         {H5T_C_S1, {4}, contiguous(), "its type is none of f32"},
                         {H5T_STD_REF_OBJ, {4}, contiguous(), "its type, of HDF5's class 7, is none of f32"}}) {
    const auto path = make([&](hid_t file) { add_dataset(file, "a", c.type, c.dims, c.properties); });
    EXPECT_THAT(refusal(path, "a"), HasSubstr(c.expected));
  }
  const auto path =
      make([](hid_t file) { H5Gclose(H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); });
  EXPECT_THAT(refusal(path, "group"), HasSubstr("HDF5: "));
}

// Edits the number of elements wherever the file records it, and recomputes the checksums.
TEST_F(HostileH5, AnExtentThatTheFileDoesNotHoldIsRefused) {
  const auto path = make([](hid_t file) { add_dataset(file, "a", H5T_STD_U8LE, {1000}, contiguous()); });
  EXPECT_EQ(refusal(path, "a"), "accepted");
  const std::string good = read_file(path);
  const auto with_extent = [&](uint64_t extent) {
    std::string bytes = good;
    const uint64_t old = 1000;
    const std::string from(reinterpret_cast<const char*>(&old), 8), to(reinterpret_cast<const char*>(&extent), 8);
    for (size_t at = bytes.find(from); at != bytes.npos; at = bytes.find(from, at + 8)) bytes.replace(at, 8, to);
    make_h5_checksums(bytes);
    write_file(path, bytes);
    return refusal(path, "a");
  };
  EXPECT_EQ(with_extent(999), "accepted");
  EXPECT_THAT(with_extent(uint64_t{1} << 40), HasSubstr("lie outside the "));
  EXPECT_THAT(with_extent((uint64_t{1} << 63) - 1), HasSubstr("a.h5/a: "));
  EXPECT_THAT(with_extent(UINT64_MAX - 1), HasSubstr("a.h5/a: "));
}

TEST_F(HostileH5, AttributesAreSingleValuesOfTheExactType) {
  const int64_t two[] = {1, 2};
  const uint64_t large = UINT64_MAX;
  const double number = 1e300;
  const std::string text(60000, 'x');
  const auto add_text = [](hid_t file, const char* name, size_t bytes, const void* value) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes);
    add_attribute(file, name, type, value);
  };
  const auto path = make([&](hid_t file) {
    add_attribute(file, "two", H5T_STD_I64LE, two, {2});
    add_attribute(file, "unsigned", H5T_STD_U64LE, &large);
    add_attribute(file, "big_endian", H5T_STD_I64BE, two);
    add_attribute(file, "real", H5T_IEEE_F64LE, &number);
    add_text(file, "long", text.size(), text.data());
    add_attribute(file, "texts", H5T_C_S1, "ab", {2});
  });
  const auto integer = [&](const char* name) {
    return refusal(path, [&](const H5Group& root) { root.integer(name); });
  };
  const auto as_text = [&](const char* name) { return refusal(path, [&](const H5Group& root) { root.text(name); }); };
  EXPECT_THAT(integer("two"), HasSubstr("a.h5@two is not a single value"));
  for (const char* name : {"unsigned", "big_endian", "real", "long"}) {
    EXPECT_THAT(integer(name), HasSubstr("has the wrong type, expected a 64-bit signed integer")) << name;
  }
  EXPECT_THAT(refusal(path, [](const H5Group& root) { root.real("unsigned"); }), HasSubstr("expected a 64-bit float"));
  EXPECT_THAT(as_text("texts"), HasSubstr("is not a single value"));
  const auto other = [&](const std::function<void(hid_t file)>& fill) { return refusal(make(fill), "a"); };
  const char* pointer = "x";
  const std::string too_long(70000, 'x');
  EXPECT_THAT(other([&](hid_t file) { add_text(file, "variable", H5T_VARIABLE, &pointer); }),
              HasSubstr("a.h5@variable: its type is of variable length: it is not a string of fixed length"));
  EXPECT_THAT(other([&](hid_t file) { add_text(file, "long", too_long.size(), too_long.data()); }),
              HasSubstr("a.h5: has more than 8 attributes, or one of more than 65536 bytes"));
}

// Edits a file and recomputes its checksums. Every one of these edits crashes or misleads libhdf5 1.10.8.
class MisleadingH5 : public HostileH5 {
 protected:
  // The result of opening the file after `bytes` replace those at `offset` from the first occurrence of `mark`.
  std::string with(const std::string& mark, size_t offset, const std::string& bytes) const {
    std::string edited = good_;
    const size_t at = edited.find(mark);
    EXPECT_NE(at, edited.npos) << mark;
    edited.replace(at + offset, bytes.size(), bytes);
    make_h5_checksums(edited);
    write_file(dir_ / "edited.h5", edited);
    return refusal(dir_ / "edited.h5", [](const H5Group& root) { root.names(); });
  }
  void make_tensors(int count) {
    H5File file = H5File::create(dir_ / "good.h5");
    for (int i = 0; i < count; ++i) file.root().create_dataset(concat("tensor.", i), DType::bf16, {i, 3});
    file.root().set("version", int64_t{1});
    file.close();
    good_ = read_file(dir_ / "good.h5");
    EXPECT_EQ(with("OHDR", 0, "OHDR"), "accepted");
  }
  std::string good_;
};

TEST_F(MisleadingH5, MetadataThatMisleadsLibhdf5IsRefusedBeforeItReadsIt) {
  make_tensors(3);
  const std::string far = "\xff\xff\xff\xff\xff";
  EXPECT_THAT(with("OHDR", 4, "\x03"), HasSubstr("an object header has an unknown form"));
  EXPECT_THAT(with("tensor.1", 8, far), HasSubstr("lie outside the"));
  EXPECT_THAT(with("tensor.1", -1, "\x60"), HasSubstr("is shorter than what it holds"));
  EXPECT_THAT(with("tensor.1", -1, "\x07"), HasSubstr("is longer than what it holds"));
  EXPECT_THAT(with("dtype", 0, std::string("dt\0pe", 5)), HasSubstr("the name of an attribute has another length"));
  EXPECT_THAT(with("dtype", -5, "\x40"), HasSubstr("is shorter than what it holds"));
  EXPECT_THAT(with("bf16", -8, "\x05"), HasSubstr("the value of an attribute has another length"));
}

TEST_F(MisleadingH5, LinksOfManyTensorsAreCheckedToo) {
  make_tensors(60);
  EXPECT_THAT(with("FRHP", 5, "\x08"), HasSubstr("the heap of a group's links has an unknown form"));
  EXPECT_THAT(with("FRHP", 132, "\x30"), HasSubstr("no FHIB is at byte"));
  EXPECT_THAT(with("FHIB", 17, "\x30"), HasSubstr("no FHDB is at byte"));
  EXPECT_THAT(with("FHDB", 13, "\x01"), HasSubstr("a heap has a block of another place"));
  EXPECT_THAT(with("BTHD", 12, "\x05"), HasSubstr("edited.h5: damaged: "));
  EXPECT_THAT(with("BTHD", 24, "\x02"), HasSubstr("edited.h5: damaged: "));
  EXPECT_THAT(with("BTIN", 6 + 5, "\xff\xff\xff\xff"), HasSubstr("a link lies in no block of its heap"));
  EXPECT_THAT(with("BTIN", 6 + 9, "\x01"), HasSubstr("is shorter than what it holds"));
  EXPECT_THAT(with("BTLF", 6 + 4, "\x10"), HasSubstr("a link has an unknown place"));
}

TEST_F(MisleadingH5, InputsThatCrashedLibhdf5AreRefused) {
  for (const char* name : {"shard", "tensor_file"}) {
    const auto path = dir_ / concat(name, ".h5");
    ASSERT_EQ(std::system(concat("base64 -d ", BIRKHOFF_FUZZ_KNOWN, "/", name, ".h5.base64 > ", path.string()).c_str()),
              0);
    EXPECT_THAT(refusal(path, [](const H5Group&) {}), HasSubstr("damaged: ")) << name;
  }
}

TEST_F(HostileH5, FilesOfOlderFormatsAndOtherKindsAreRefused) {
  const auto path = dir_ / "old.h5";
  H5Fclose(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  EXPECT_THAT(refusal(path, [](const H5Group&) {}),
              AllOf(HasSubstr("superblock of version 0"), HasSubstr("HDF5 1.10")));
  ::mkfifo((dir_ / "pipe").c_str(), 0600);
  EXPECT_THAT(refusal(dir_ / "pipe", [](const H5Group&) {}), HasSubstr("is a pipe, expected a regular file"));
  EXPECT_THAT(refusal("/dev/zero", [](const H5Group&) {}), HasSubstr("is a device, expected a regular file"));
  const auto good = make([](hid_t) {});
  std::filesystem::create_symlink(good, dir_ / "link.h5");
  EXPECT_EQ(refusal(dir_ / "link.h5", [](const H5Group&) {}), "accepted");
}

}  // namespace
}  // namespace birkhoff
