#include "data/hdf5/file.h"

#include <limits>
#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

constexpr DType kEveryType[] = {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64, DType::u8};

TEST(H5File, GivesBackAttributesGroupsAndEveryDType) {
  const TempDir dir;
  {
    H5File file = H5File::create(dir / "a.h5");
    const H5Group root = file.root(), group = root.create_group("weights");
    root.set("big", std::numeric_limits<int64_t>::min());
    root.set("pi", 3.25);
    root.set("name", std::string("Ångström"));
    root.set("empty", std::string());
    root.set("name", std::string("twice"));
    for (const DType dtype : kEveryType) group.create_dataset(std::string(name_of(dtype)), dtype, {3, 5});
    file.close();
  }
  const H5File file = H5File::open(dir / "a.h5");
  const H5Group root = file.root(), group = root.group("weights");
  EXPECT_EQ(root.integer("big"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(root.real("pi"), 3.25);
  EXPECT_EQ(root.text("name"), "twice");
  EXPECT_EQ(root.text("empty"), "");
  EXPECT_FALSE(root.has_attribute("absent"));
  EXPECT_THAT(root.names(), ElementsAre("weights"));
  EXPECT_THAT(group.names(), ElementsAre("bf16", "f32", "f64", "i32", "i64", "u8"));
  for (const DType dtype : kEveryType) {
    const H5Dataset dataset = group.dataset(std::string(name_of(dtype)));
    EXPECT_EQ(dataset.dtype, dtype);
    EXPECT_EQ(dataset.shape, (Shape{3, 5}));
    EXPECT_GT(dataset.offset, 0);
  }
}

TEST(H5File, BytesWrittenAtTheOffsetAreTheDatasetInAnyPieces) {
  const TempDir dir;
  std::vector<float> values(10000), back(values.size());
  std::iota(values.begin(), values.end(), 0.5f);
  H5File file = H5File::create(dir / "a.h5");
  const H5Dataset a = file.root().create_dataset("a", DType::f32, {100, 100});
  const H5Dataset b = file.root().create_dataset("b", DType::f32, {100, 100});
  const BulkFile out = BulkFile::open_to_write(dir / "a.h5");
  for (int64_t first = 0; first < 10000; first += 1250) {
    out.write(b, first, 1250, values.data() + first);
    out.write(a, first, 1250, values.data() + first);
  }
  file.close();
  const H5Dataset stored = H5File::open(dir / "a.h5").root().dataset("b");
  const BulkFile in = BulkFile::open_to_read(dir / "a.h5");
  in.read(stored, 0, 3, back.data());
  in.read(stored, 3, 9997, back.data() + 3);
  EXPECT_EQ(back, values);
}

TEST(H5File, HoldsEmptyAndScalarDatasets) {
  const TempDir dir;
  H5File file = H5File::create(dir / "a.h5");
  file.root().create_dataset("none", DType::f32, {0, 7});
  file.root().create_dataset("one", DType::f64, Shape{});
  file.close();
  const H5File again = H5File::open(dir / "a.h5");
  EXPECT_EQ(again.root().dataset("none").shape, (Shape{0, 7}));
  EXPECT_EQ(again.root().dataset("one").bytes(), 8u);
}

TEST(H5File, SaysWhatIsMissingOrOfTheWrongType) {
  const TempDir dir;
  H5File file = H5File::create(dir / "a.h5");
  const H5Group root = file.root();
  root.set("text", std::string("x"));
  root.set("number", int64_t{1});
  EXPECT_THAT(message_of([&] { root.integer("none"); }), HasSubstr("a.h5@none is missing"));
  EXPECT_THAT(message_of([&] { root.integer("text"); }), HasSubstr("wrong type"));
  EXPECT_THAT(message_of([&] { root.text("number"); }), HasSubstr("not a string"));
  EXPECT_THAT(message_of([&] { root.dataset("none"); }), HasSubstr("a.h5/none is missing"));
  EXPECT_THAT(message_of([&] { root.group("none"); }), HasSubstr("a.h5/none is missing"));
}

TEST(H5File, PassesOnTheReasonThatHdf5Gives) {
  const TempDir dir;
  EXPECT_THAT(message_of([&] { H5File::create(dir / "no/such/folder/a.h5"); }), HasSubstr("No such file or directory"));
  H5File file = H5File::create(dir / "a.h5");
  file.root().create_group("twice");
  EXPECT_THAT(message_of([&] { file.root().create_group("twice"); }), HasSubstr("already exists"));
}

TEST(H5File, DistinguishesTheKindsOfDamage) {
  const TempDir dir;
  const auto path = dir / "a.h5";
  H5File file = H5File::create(path);
  file.root().create_dataset("a", DType::f32, {1000});
  file.close();
  const std::string good = read_file(path);
  const auto complaint = [&](const std::string& bytes) {
    write_file(path, bytes);
    return message_of([&] { H5File::open(path); });
  };
  EXPECT_THAT(message_of([&] { H5File::open(dir / "b.h5"); }), HasSubstr("b.h5: no such file"));
  EXPECT_THAT(message_of([&] { H5File::open(dir.path()); }), HasSubstr("is a folder, expected a regular file"));
  EXPECT_THAT(complaint(""), HasSubstr("empty (0 bytes)"));
  EXPECT_THAT(complaint("PK" + good.substr(2)), HasSubstr("not an HDF5 file"));
  EXPECT_THAT(complaint(good.substr(0, 20)), HasSubstr("truncated"));
  EXPECT_THAT(complaint(good.substr(0, good.size() - 1)),
              HasSubstr(concat("truncated: expected ", good.size(), " bytes, found ", good.size() - 1)));
  EXPECT_THAT(complaint(good + "x"), HasSubstr("wrong size"));
  std::string flipped = good;
  flipped[44] ^= 1;  // the superblock's checksum
  EXPECT_THAT(complaint(flipped), HasSubstr("checksum"));
}

TEST(H5File, LaidOutInMemoryIsTheSameFile) {
  const TempDir dir;
  const auto fill = [](H5File file) {
    for (int i = 0; i < 50; ++i) file.root().create_dataset(concat("d", i), DType::bf16, {i, 1000});
    file.close();
  };
  fill(H5File::create(dir / "disk.h5"));
  const MemoryFile memory;
  fill(H5File::create(memory));
  const BulkFile copy = BulkFile::create(dir / "memory.h5");
  copy.reserve(memory.bytes());
  memory.copy_to(copy);
  EXPECT_EQ(read_file(dir / "memory.h5"), read_file(dir / "disk.h5"));
}

// HDF5's own message says only that fopen failed.
TEST(H5File, SaysThatFilesAreRefused) {
  const MemoryFile memory;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> next(std::fopen("/dev/null", "r"), std::fclose);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{static_cast<rlim_t>(fileno(next.get())) + 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string message = message_of([&] { H5File::create(memory); });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(message,
              HasSubstr("a file in memory: cannot create: Too many open files; raise the limit of open files"));
}

TEST(H5File, ServesManyThreadsAtOnce) {
  const TempDir dir;
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int64_t k = 0; k < 20; ++k) {
        const auto path = dir / concat("t", i, ".h5");
        H5File file = H5File::create(path);
        file.root().set("k", k);
        file.root().create_group("g").create_dataset("d", DType::f64, {k + 1});
        file.close();
        const H5File again = H5File::open(path);
        good += again.root().integer("k") == k && again.root().group("g").dataset("d").shape == Shape{k + 1};
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

}  // namespace
}  // namespace birkhoff
