// A state that was saved is loaded bit by bit on any number of ranks; whatever does not fit is refused and listed.
#include "kernels/elementwise/copy.h"
#include "tests/trainer/checkpoint/saves.h"
#include "trainer/checkpoint/save.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Checkpoint, LoadsBitwiseOnAnyNumberOfRanks) {
  for (const int writers : {1, 2, 3}) {
    const TempDir dir;
    save_once(writers, dir.path(), 7, 41 + writers);
    for (const int readers : {1, 2, 3, 5}) {
      SCOPED_TRACE(concat("saved on ", writers, ", loaded on ", readers));
      const auto found = load_newest(readers, dir.path(), [&](int64_t) { return 41 + writers; });
      ASSERT_TRUE(found);
      EXPECT_EQ(found->manifest.step, 7);
      EXPECT_EQ(read_attachment(found->path, "config.yaml"), kAttachments.at("config.yaml"));
    }
  }
}

TEST(Checkpoint, TheCheckOfTheStateCanFail) {
  RankedState state(1, 2, 3);
  collect(state.visitor());
  EXPECT_THAT(state.differences(4), testing::SizeIs(testing::Gt(5)));
  EXPECT_THAT(state.differences(3), testing::IsEmpty());
}

TEST(Checkpoint, IsEqualBytesWhenSavedTwice) {
  const TempDir a, b;
  save_once(2, a.path(), 7, 1);
  save_once(2, b.path(), 7, 1);
  for (const char* name : {"rank-00000.h5", "rank-00001.h5", "manifest.json"}) {
    EXPECT_EQ(read_file(a.path() / "step-00000007" / name), read_file(b.path() / "step-00000007" / name)) << name;
  }
}

// Loads the state as changed by `visit`, and returns the error.
std::string load_error(int ranks, const std::filesystem::path& directory,
                       const std::function<void(StateVisitor&, RankedState&)>& visit) {
  return message_of<DataError>([&] {
    run_ranks(ranks, [&](Communicator& comm) {
      RankedState state(comm.rank(), ranks);
      const auto found = find_newest_valid(comm, directory);
      load_checkpoint(comm, found->path, found->manifest, Device{}, [&](StateVisitor& v) { visit(v, state); });
    });
  });
}

// Forwards everything to another visitor, but drops one tensor or changes its shape or dtype.
class Changing final : public StateVisitor {
 public:
  enum class How { drop, reshape, retype };
  Changing(StateVisitor& to, std::string name, How how) : to_(to), name_(std::move(name)), how_(how) {}
  void replicated(const std::string& name, Tensor whole, const Slice& slice, const Communicator& holders) override {
    if (name != name_) return to_.replicated(name, whole, slice, holders);
    if (how_ == How::reshape) to_.replicated(name, whole, Slice::all({whole.count(), 1}), holders);
    if (how_ == How::retype) to_.replicated(name, {whole.data, DType::i32, whole.shape}, slice, holders);
  }
  void shard(const std::string& name, Tensor local, const Slice& slice) override {
    if (name != name_) return to_.shard(name, local, slice);
    if (how_ == How::reshape) to_.shard(name, local, Slice::all({slice.global.count(), 1}).part(0, local.count()));
    if (how_ == How::retype) to_.shard(name, {local.data, DType::u8, local.shape}, slice);
  }
  void integer(const std::string& name, int64_t& value) override { to_.integer(name, value); }
  void real(const std::string& name, double& value) override { to_.real(name, value); }
  void text(const std::string& name, std::string& value) override { to_.text(name, value); }

 private:
  StateVisitor& to_;
  std::string name_;
  How how_;
};

TEST(Checkpoint, RefusesAndListsWhateverDoesNotFit) {
  const TempDir dir;
  save_once(2, dir.path(), 7, 0);
  for (const int ranks : {1, 2}) {
    const std::string message = load_error(ranks, dir.path(), [](StateVisitor& v, RankedState& state) {
      Changing dropped(v, "counts", Changing::How::drop);
      Changing reshaped(dropped, "model.matrix", Changing::How::reshape);
      Changing retyped(reshaped, "adamw.m.matrix", Changing::How::retype);
      state.state(retyped);
      float extra = 0;
      double real = 0;
      int64_t integer = 0;
      v.replicated("model.extra", {&extra, DType::f32, {}}, Slice::all({}), test::RankOf(0, 1));
      v.real("rate", real);
      v.integer("updates", integer);
    });
    EXPECT_THAT(message, AllOf(HasSubstr("step-00000007 does not fit this run:"),
                               HasSubstr("\n  counts [5, 3, 3] is not part of this model"),
                               HasSubstr("\n  model.matrix is f32[7, 1301], this run needs f32[9107, 1]"),
                               HasSubstr("\n  adamw.m.matrix is f32[7, 1301], this run needs u8[7, 1301]"),
                               HasSubstr("\n  model.extra [] is missing"), HasSubstr("\n  rate is missing")));
    EXPECT_THAT(message, AllOf(HasSubstr("\n  updates is missing"), Not(HasSubstr("model.half"))));
  }
}

// Saves one tensor in one dtype and loads it in another. Returns the values loaded, and how many tensors were rounded.
struct Converted {
  std::vector<double> values;
  int64_t rounded = 0;
};
Converted load_as(DType to, DType from, const std::vector<double>& values) {
  const TempDir dir;
  Converted result;
  run_ranks(1, [&](Communicator& comm) {
    const auto tensor = [&](std::vector<double>& memory, DType dtype) {
      return Tensor{memory.data(), dtype, {static_cast<int64_t>(values.size())}};
    };
    const Slice all = Slice::all({static_cast<int64_t>(values.size())});
    std::vector<double> given = values, stored(values.size()), loaded(values.size());
    Stream host;
    copy(host, tensor(stored, from), tensor(given, DType::f64));
    CheckpointWriter writer(comm, Device{}, {dir.path(), 3, true});
    writer.begin(1, [&](StateVisitor& v) { v.replicated("t", tensor(stored, from), all, comm); }, {});
    ASSERT_TRUE(writer.finish()->saved);
    const auto found = find_newest_valid(comm, dir.path());
    const Loaded report = load_checkpoint(comm, found->path, found->manifest, Device{},
                                          [&](StateVisitor& v) { v.replicated("t", tensor(loaded, to), all, comm); });
    EXPECT_EQ(report.nonfinite, "");
    result.rounded = report.rounded;
    result.values = read_values(host, tensor(loaded, to));
  });
  return result;
}

TEST(Checkpoint, IsWidenedExactlyAndNarrowedByRoundingBetweenDevices) {
  const std::vector<double> some{0.1, -3, 1e-40, 65504.0001};
  for (const DType narrow : {DType::f32, DType::bf16}) {
    const Converted exact = load_as(DType::f64, narrow, some), same = load_as(narrow, narrow, some);
    EXPECT_EQ(exact.values, same.values) << narrow;
    EXPECT_EQ(exact.rounded, 0);
    const Converted rounded = load_as(narrow, DType::f64, some);
    EXPECT_EQ(rounded.values, same.values) << narrow;
    EXPECT_EQ(rounded.rounded, 1);
  }
  EXPECT_THAT(message_of<DataError>([] {
                load_as(DType::f32, DType::f64, {1, 1e300});
              }),
              HasSubstr("t holds a value that is too large for f32"));
  EXPECT_THAT(message_of<DataError>([] { load_as(DType::bf16, DType::f32, {1}); }),
              HasSubstr("t is f32[1], this run needs bf16[1]"));
}

TEST(Checkpoint, ALongListIsCutOff) {
  const TempDir dir;
  save_once(1, dir.path(), 7, 0);
  const std::string message = load_error(1, dir.path(), [](StateVisitor& v, RankedState& state) {
    state.state(v);
    int64_t value = 0;
    for (int i = 0; i < 25; ++i) v.integer(concat("more.", i), value);
  });
  EXPECT_THAT(message, HasSubstr("\n  and 5 more"));
}

TEST(Checkpoint, ATensorThatSeveralRanksClaimIsRefused) {
  const TempDir dir;
  run_ranks(2, [&](Communicator& comm) {
    std::vector<float> data(10);
    CheckpointWriter writer(comm, Device{}, {dir.path(), 3, true});
    const int64_t begin = comm.rank() * 4;
    const Slice all = Slice::all({10});
    writer.begin(1, [&](StateVisitor& v) { v.shard("t", {data.data(), DType::f32, {5}}, all.part(begin, 5)); }, {});
    const auto report = writer.finish();
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->saved);
    EXPECT_THAT(report->error, HasSubstr("t: element [4] is there twice"));
    writer.begin(2, [&](StateVisitor& v) { v.shard("t", {data.data(), DType::f32, {4}}, all.part(begin, 4)); }, {});
    EXPECT_THAT(writer.finish()->error, HasSubstr("t: 8 of 10 elements are there"));
  });
  EXPECT_THAT(list_checkpoints(dir.path()), testing::IsEmpty());
}

TEST(Checkpoint, ANameGivenTwiceIsABug) {
  const TempDir dir;
  const std::string message = message_of<BugError>([&] {
    run_ranks(1, [&](Communicator& comm) {
      float x = 0;
      CheckpointWriter writer(comm, Device{}, {dir.path(), 3, true});
      auto twice = [&](StateVisitor& v) {
        for (int i = 0; i < 2; ++i) v.replicated("model.x", {&x, DType::f32, {}}, Slice::all({}), comm);
      };
      writer.begin(1, twice, {});
    });
  });
  EXPECT_THAT(message, HasSubstr("model.x"));
}

}  // namespace
}  // namespace birkhoff
