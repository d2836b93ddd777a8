#include "trainer/nn/parameter_store.h"

#include <map>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

// Two units, every kind of initial value, a buffer, a counter and a router.
struct Declared {
  Parameter matrix{"matrix", {5, 7}, Role::matrix, Init::normal(0.5), {}, {}, 0};
  Parameter gain{"gain", {4}, Role::gain, Init::constant(1.5), {}, {}, 0};
  Parameter table{"table", {2, 3}, Role::gate, Init::table([](int64_t i) { return double(i) / 4; }), {}, {}, 0};
  PersistentBuffer bias{"bias", {3}, {}};
  StepCounter load{"load", {3}, StepCounter::Kind::load};
  std::unique_ptr<Mesh> mesh = nullptr;

  void visit(ModuleVisitor& v) {
    v.begin_unit("first");
    v.parameter(matrix);
    v.parameter(gain);
    v.begin_unit("second");
    v.parameter(table);
    v.buffer(bias);
    v.counter(load);
    v.router(bias, load);
  }
  ParameterStore store(Device device, Communicator& comm) {
    mesh = std::make_unique<Mesh>(comm, MeshDegrees{});
    return ParameterStore(
        device, *mesh, [this](ModuleVisitor& v) { visit(v); },
        [](const Parameter& p) {
          return ParameterStore::UpdateCost{static_cast<double>(p.shape.count()), p.role == Role::matrix};
        });
  }
};

class ParameterStoreOnRanks : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OfOneToFour, ParameterStoreOnRanks, testing::Range(1, 5));

TEST_P(ParameterStoreOnRanks, StartsFromValuesThatDependOnSeedAndNameAlone) {
  run_ranks(GetParam(), [](Communicator& comm) {
    Declared d;
    Stream stream{Device{}};
    ParameterStore store = d.store(stream.device, comm);
    store.initialize(stream, 9);
    EXPECT_EQ(store.num_parameters(), 45);
    const Philox philox(9, key_of("matrix"));
    const auto matrix = values_of(d.matrix.value);
    for (size_t i = 0; i < matrix.size(); ++i) EXPECT_EQ(matrix[i], static_cast<float>(0.5 * philox.normal(i)));
    EXPECT_THAT(values_of(d.gain.value), testing::Each(1.5));
    EXPECT_THAT(values_of(d.table.value), testing::ElementsAre(0, 0.25, 0.5, 0.75, 1, 1.25));
    EXPECT_THAT(values_of(d.bias.value), testing::Each(0.0));
  });
}

TEST_P(ParameterStoreOnRanks, SumsGradientsOverReplicasAndPublishesWhatTheOwnersWrote) {
  run_ranks(GetParam(), [](Communicator& comm) {
    Declared d;
    Stream stream{Device{}};
    ParameterStore store = d.store(stream.device, comm);
    store.initialize(stream, 9);
    for (int step = 0; step < 2; ++step) {
      store.begin_step(stream);
      EXPECT_THAT(values_of(d.matrix.grad), testing::Each(0.0));
      EXPECT_THAT(values_of(d.load.value), testing::Each(0.0));
      for (Parameter* p : {&d.matrix, &d.gain, &d.table}) fill(stream, p->grad, comm.rank() + 1 + step);
      set_values(d.load.value, std::vector<double>(static_cast<size_t>(d.load.value.count()), 3));
      for (int unit : {1, 0}) store.start_reduce(stream, unit);
      store.wait_reduced(stream);
      const uint64_t version = d.gain.version;
      for (const ParameterStore::Owned& o : store.owned()) {
        EXPECT_EQ(o.parameter, store.entries()[o.index].parameter);
        EXPECT_TRUE(o.parameter->role != Role::matrix || o.slice.whole());
        copy(stream, o.value, o.gradient);
      }
      store.publish(stream);
      EXPECT_GT(d.gain.version, version);
      const int ranks = comm.size();
      const double sum = ranks * (ranks + 1) / 2 + ranks * step;
      for (Parameter* p : {&d.matrix, &d.gain, &d.table}) {
        EXPECT_THAT(values_of(p->value), testing::Each(sum)) << p->name;
      }
    }
  });
}

struct Names final : StateVisitor {
  void replicated(const std::string& name, Tensor whole, const Slice& slice, const Communicator&) override {
    EXPECT_TRUE(slice == Slice::all(whole.shape)) << name;
    sizes[name] = whole.count();
  }
  void shard(const std::string&, Tensor, const Slice&) override { FAIL(); }
  void integer(const std::string&, int64_t&) override { FAIL(); }
  void real(const std::string&, double&) override { FAIL(); }
  void text(const std::string&, std::string&) override { FAIL(); }
  std::map<std::string, int64_t> sizes;
};

TEST(ParameterStore, ListsUnitsRoutersAndState) {
  run_ranks(1, [](Communicator& comm) {
    Declared d;
    ParameterStore store = d.store(Device{}, comm);
    EXPECT_THAT(store.units(), testing::ElementsAre("first", "second"));
    ASSERT_EQ(store.routers().size(), 1u);
    EXPECT_EQ(store.routers()[0].bias, &d.bias);
    EXPECT_EQ(store.routers()[0].load, &d.load);
    Names names;
    store.state(names);
    EXPECT_THAT(names.sizes,
                testing::UnorderedElementsAre(testing::Pair("model.matrix", 35), testing::Pair("model.gain", 4),
                                              testing::Pair("model.table", 6), testing::Pair("model.bias", 3)));
  });
}

// Four ranks: two expert-parallel ranks times two replicas of each expert (edp). The gradient of a gain is summed over
// the stage, that of experts only over their replicas.
TEST(ParameterStore, SumsEachGradientOverTheGroupThatItNames) {
  run_ranks(4, [](Communicator& comm) {
    const Mesh mesh(comm, {.ep = 2});
    Parameter gain{"gain", {40}, Role::gain, Init::constant(0), {}, {}, 0};
    Parameter experts{"experts", {2, 3, 8}, Role::experts, Init::constant(0), {}, {}, 0};
    experts.division.cuts = {{0, Axis::etp}};
    Parameter divided{"divided", {5, 8}, Role::matrix, Init::constant(0), {}, {}, 0};
    divided.division.cuts = {{0, Axis::tp}};
    const auto visit = [&](ModuleVisitor& v) {
      v.begin_unit("block");
      for (Parameter* p : {&gain, &experts, &divided}) v.parameter(*p);
    };
    ParameterStore store(Device{}, mesh, visit, [](const Parameter& p) {
      return ParameterStore::UpdateCost{static_cast<double>(p.shape.count()), false};
    });
    EXPECT_EQ(store.entries()[0].bucket, store.entries()[2].bucket) << "without tp they are one group";
    EXPECT_NE(store.entries()[0].bucket, store.entries()[1].bucket);
    Stream stream;
    store.begin_step(stream);
    for (Parameter* p : {&gain, &experts, &divided}) fill(stream, p->grad, 1 << comm.rank());
    store.start_reduce(stream, 0);
    store.wait_reduced(stream);
    int64_t owned = 0;
    for (const ParameterStore::Owned& o : store.owned()) {
      copy(stream, o.value, o.gradient);
      owned += o.parameter == &experts ? o.slice.count() : 0;
    }
    EXPECT_EQ(all_reduce_on_host(mesh.group(Group::edp), owned), experts.shape.count()) << "each element has one owner";
    store.publish(stream);
    EXPECT_THAT(values_of(gain.value), testing::Each(1 + 2 + 4 + 8));
    EXPECT_THAT(values_of(divided.value), testing::Each(1 + 2 + 4 + 8));
    EXPECT_THAT(values_of(experts.value), testing::Each(comm.rank() % 2 == 0 ? 1 + 4 : 2 + 8));
  });
}

TEST(ParameterStore, RefusesANameTwiceAndAParameterOutsideAUnit) {
  run_ranks(1, [](Communicator& comm) {
    Declared d;
    const auto cost = [](const Parameter&) { return ParameterStore::UpdateCost{}; };
    const auto twice = [&](ModuleVisitor& v) {
      v.begin_unit("unit");
      v.parameter(d.gain);
      v.parameter(d.gain);
    };
    const auto outside = [&](ModuleVisitor& v) { v.parameter(d.gain); };
    const Mesh mesh(comm, {});
    EXPECT_THROW(ParameterStore(Device{}, mesh, twice, cost), BugError);
    EXPECT_THROW(ParameterStore(Device{}, mesh, outside, cost), BugError);
  });
}

}  // namespace
}  // namespace birkhoff::test
