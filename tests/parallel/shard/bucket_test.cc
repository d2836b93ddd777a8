#include "parallel/shard/bucket.h"

#include <gmock/gmock.h>

#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

std::vector<BucketItem> items() {
  const auto all = [](const Shape& shape) { return Held{Slice::all(shape), shape}; };
  return {{"norm", all({7}), 7, kCutAlignment},
          {"w1", all({5, 9}), 450, 0},
          {"bias", all({100}), 100, kCutAlignment},
          {"experts", all({3, 4, 5}), 600, 20}};
}

// One step of "value -= sum of gradients" by the owners; returns what every replica then holds of every parameter.
std::vector<std::vector<double>> values_after_step(Communicator& comm, Device device) {
  Arena arena(device);
  Stream stream{device};
  std::vector<double> load(static_cast<size_t>(comm.size()), 0.0);
  Bucket bucket(arena, comm, items(), load);
  for (size_t i = 0; i < bucket.size(); ++i) {
    fill(stream, bucket.gradient(i), static_cast<double>((comm.rank() + 1) * (static_cast<int>(i) + 1)));
  }
  bucket.start_reduce(stream);
  bucket.wait_reduced(stream);
  for (const Bucket::Owned& part : bucket.owned()) {
    EXPECT_EQ(part.value.count(), part.slice.count());
    fill(stream, part.value, -read_scalar(stream, part.gradient.flat(part.slice.count() - 1, 1)));
  }
  bucket.start_gather(stream);
  bucket.wait_gathered(stream);
  std::vector<std::vector<double>> values;
  for (size_t i = 0; i < bucket.size(); ++i) {
    const Tensor value = bucket.value(i);
    EXPECT_EQ(value.shape, items()[i].held.shape);
    std::vector<double>& copied = values.emplace_back();
    for (int64_t e = 0; e < value.count(); ++e) copied.push_back(read_scalar(stream, value.flat(e, 1)));
  }
  return values;
}

class BucketOnRanks : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OfOneToFive, BucketOnRanks, ::testing::Range(1, 6));

TEST_P(BucketOnRanks, SumsGradientsAndGathersValues) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    run_ranks(GetParam(), [&](Communicator& comm) {
      const double sum_of_ranks = comm.size() * (comm.size() + 1) / 2;
      const auto values = values_after_step(comm, {kind});
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_THAT(values[i], ::testing::Each(-sum_of_ranks * static_cast<double>(i + 1)));
      }
    });
  }
}

TEST_P(BucketOnRanks, OwnsEveryElementOnceAndMatricesWhole) {
  run_ranks(GetParam(), [](Communicator& comm) {
    Arena arena({});
    std::vector<double> load(static_cast<size_t>(comm.size()), 0.0);
    const Bucket bucket(arena, comm, items(), load);
    std::vector<int64_t> owned(bucket.size(), 0);
    for (const Bucket::Owned& part : bucket.owned()) {
      const int64_t grain = bucket.item(part.item).grain, last = bucket.item(part.item).held.shape.count();
      const int64_t end = part.begin + part.slice.count();
      EXPECT_TRUE(part.slice.whole() || (grain > 0 && part.begin % grain == 0));
      EXPECT_TRUE(end == last || (grain > 0 && end % grain == 0));
      owned[part.item] += part.slice.count();
    }
    const Tensor counts{owned.data(), DType::i64, {static_cast<int64_t>(owned.size())}};
    wait_on_host(comm.all_reduce(host_stream(), counts));
    for (size_t i = 0; i < bucket.size(); ++i) EXPECT_EQ(owned[i], bucket.item(i).held.shape.count());
  });
}

// Gradients of 1 + 2^-10 round to 1 in bf16; their sum over the ranks is then exact.
TEST(Bucket, RoundsGradientsToTheirWire) {
  for (const DType wire : {DType::f32, DType::bf16}) {
    for (const int ranks : {1, 3}) {
      run_ranks(ranks, [&](Communicator& comm) {
        Arena arena({});
        Stream stream;
        std::vector<double> load(static_cast<size_t>(comm.size()), 0.0);
        Bucket bucket(arena, comm, items(), load, wire);
        for (size_t i = 0; i < bucket.size(); ++i) fill(stream, bucket.gradient(i), 1 + 1.0 / 1024);
        bucket.start_reduce(stream);
        bucket.wait_reduced(stream);
        const double each = wire == DType::bf16 && ranks > 1 ? 1 : 1 + 1.0 / 1024;  // one rank sends nothing
        for (const Bucket::Owned& part : bucket.owned()) {
          EXPECT_EQ(read_scalar(stream, part.gradient.flat(0, 1)), ranks * each);
        }
        EXPECT_EQ(bucket.packed_bytes() > 0, wire == DType::bf16 && ranks > 1);
      });
    }
  }
}

// Two groups hold other parts of the same matrices, of other sizes: 5 and 0 of the rows of each. Both cut their buckets
// between the same matrices.
TEST_P(BucketOnRanks, IsCutAlikeByGroupsWithOtherPartsOfTheSameUnits) {
  run_ranks(GetParam(), [](Communicator& comm) {
    const auto held = [](int64_t rows) {
      const Shape shape{4, rows, 3};
      return Held{{{4, 5, 3}, {{{0, 0, 0}, shape}}}, shape};
    };
    std::vector<std::vector<int64_t>> ends;
    for (const int64_t rows : {5, 0}) {
      Arena arena({});
      std::vector<double> load(static_cast<size_t>(comm.size()), 0.0);
      const Bucket bucket(arena, comm, {{"experts", held(rows), 100, 0, 4}, {"others", held(rows), 50, 0, 2}}, load);
      int64_t elements = 0;
      std::vector<int64_t>& units = ends.emplace_back();
      for (int rank = 0; rank < comm.size(); ++rank) {
        for (const size_t item : {0, 1}) units.push_back(bucket.owned_by(rank, item).end);
        elements += bucket.pieces()[static_cast<size_t>(rank)];
      }
      EXPECT_EQ(elements, bucket.all_values().count());
      EXPECT_EQ(units[units.size() - 2], 4);
      EXPECT_EQ(units.back(), 2);
      for (const Bucket::Owned& part : bucket.owned()) {
        EXPECT_EQ(part.begin % (bucket.item(part.item).held.shape.count() / *bucket.item(part.item).units), 0);
      }
    }
    EXPECT_EQ(ends[0], ends[1]);
  });
}

TEST(Bucket, CountsBytesOnTheMetaDevice) {
  run_ranks(2, [](Communicator& comm) {
    if (comm.rank() == 1) return;  // no data, so no peer is needed
    Arena arena({DeviceKind::meta});
    Stream stream{arena.device()};
    std::vector<double> load(2, 0.0);
    Bucket bucket(arena, comm, items(), load);
    bucket.zero_gradients(stream);
    bucket.start_reduce(stream);
    bucket.wait_reduced(stream);
    bucket.start_gather(stream);
    bucket.wait_gathered(stream);
    EXPECT_EQ(arena.used_bytes(), 2u * 4 * (16 + 48 + 112 + 64));
  });
}

}  // namespace
}  // namespace birkhoff
