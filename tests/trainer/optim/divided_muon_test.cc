// Muon on matrices whose rows or columns are divided over ranks: each is updated whole, once, by the rank that the
// table names, which alone keeps its momentum. That the update equals the one of a single rank is tested in
// trainer/step/division, for every variant of the model.
#include <map>
#include <mutex>
#include <set>

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "parallel/mesh/layout.h"
#include "parallel/shard/cover.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

OptimizerOptions muon_options() {
  OptimizerOptions o;
  o.type = OptimizerType::muon;
  return o;
}

// Counts the matrices whose norm is taken, which Newton-Schulz does once.
class NewtonSchulzCount final : public OpObserver {
 public:
  void begin(std::string_view op) override { runs += op == "inverse_norm"; }
  void end() override {}
  void flops(double) override {}
  int64_t runs = 0;
};

// The momenta that a rank visits.
class Momenta final : public StateVisitor {
 public:
  void replicated(const std::string&, Tensor, const Slice&, const Communicator&) override {}
  void shard(const std::string& name, Tensor local, const Slice& slice) override {
    if (!name.starts_with("muon.momentum.")) return;
    EXPECT_EQ(local.count(), slice.count()) << name;
    EXPECT_TRUE(slices.emplace(name.substr(14), slice).second) << name << " is visited twice";
  }
  void integer(const std::string&, int64_t&) override {}
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}
  std::map<std::string, Slice> slices;
};

bool by_muon(const Parameter& p) { return assignment_of(p, OptimizerType::muon).rule == OptimizerType::muon; }

struct Rank {
  Rank(Communicator& world, const MeshDegrees& degrees)
      : mesh(world, degrees),
        model(make_model({}, mesh, options())),
        optimizer({}, *model.parameters, muon_options()) {}
  static ModelOptions options() {
    ModelOptions o = full_options();
    o.cost_of = [](const Parameter& p) { return update_cost(p, OptimizerType::muon); };
    return o;
  }
  int64_t count_runs() {
    NewtonSchulzCount count;
    Stream stream;
    stream.observer = &count;
    optimizer.step(stream, {.learning_rate = 0.01});
    return count.runs;
  }
  std::set<int> owners() const {
    const MatrixOwners all(*model.parameters);
    std::set<int> ranks;
    for (size_t e = 0; e < model.parameters->entries().size(); ++e) {
      if (by_muon(*model.parameters->entries()[e].parameter)) ranks.merge(all.of(e));
    }
    return ranks;
  }
  Mesh mesh;
  Model model;
  DenseOptimizer optimizer;
};

class DividedMuonAt : public testing::TestWithParam<const char*> {
 protected:
  MeshDegrees degrees() const { return with_least_dp(parse_layout(GetParam())); }
  int ranks() const { return degrees().tp * degrees().cp * degrees().dp; }
};
INSTANTIATE_TEST_SUITE_P(Layouts, DividedMuonAt,
                         testing::Values("1", "dp3", "tp2", "tp3", "tp2.dp2", "tp2.cp2", "etp2", "ep2.etp2",
                                         "tp2.ep3.etp2.dp3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST_P(DividedMuonAt, UpdatesEachLogicalMatrixOnce) {
  std::mutex mutex;
  int64_t runs = 0, matrices = 0;
  run_ranks(ranks(), [&](Communicator& world) {
    Rank rank(world, degrees());
    const int64_t own = rank.count_runs();
    EXPECT_EQ(own > 0, rank.owners().contains(world.rank())) << "rank " << world.rank();
    const std::lock_guard lock(mutex);
    runs += own;
    matrices = 0;
    for (const auto& e : rank.model.parameters->entries()) {
      if (by_muon(*e.parameter)) matrices += std::ssize(matrices_of(*e.parameter));
    }
  });
  EXPECT_GT(matrices, 40);
  EXPECT_EQ(runs, matrices);
}

// Every element has one rank that saves its momentum, and a rank has whole matrices only.
TEST_P(DividedMuonAt, KeepsEachMomentumOnce) {
  std::mutex mutex;
  std::map<std::string, std::vector<Box>> boxes;
  std::map<std::string, Shape> shapes;
  size_t expected = 0;
  run_ranks(ranks(), [&](Communicator& world) {
    Rank rank(world, degrees());
    Momenta momenta;
    rank.optimizer.state(momenta);
    const std::lock_guard lock(mutex);
    expected = 0;
    for (const auto& e : rank.model.parameters->entries()) expected += by_muon(*e.parameter);
    for (const auto& [name, slice] : momenta.slices) {
      boxes[name].insert(boxes[name].end(), slice.boxes.begin(), slice.boxes.end());
      shapes[name] = slice.global;
      const bool experts = name.find("experts") != std::string::npos;
      EXPECT_FALSE(experts && degrees().etp > 1 && slice.whole()) << name;
    }
  });
  EXPECT_EQ(boxes.size(), expected);
  for (const auto& [name, all] : boxes) EXPECT_EQ(find_cover_defect(shapes.at(name), all), "") << name;
}

// The most expensive matrices come first, and the ranks along the axis take turns.
TEST(DividedMatrices, AreGivenToRanksByTheirCost) {
  run_ranks(4, [](Communicator& world) {
    const Rank rank(world, {.tp = 2});
    const ParameterStore& parameters = *rank.model.parameters;
    std::set<std::pair<size_t, int64_t>> found;
    for (const int position : {0, 1}) {
      double last = 1e300, difference = 0;
      for (const DividedMatrix& m : divided_matrices(parameters, Axis::tp, position)) {
        const double cost = muon_cost(m.place.shape());
        EXPECT_LE(cost, last);
        last = cost;
        difference += m.rank == 0 ? cost : -cost;
        EXPECT_TRUE(found.insert({m.entry, m.number}).second);
      }
      EXPECT_LE(difference, muon_cost({rank.options().decoder.ffn.size, rank.options().decoder.hidden_size}));
    }
    EXPECT_GT(found.size(), 20u);
  });
}

TEST(DividedMuonTable, SaysWhichRanksUpdateTheMatrices) {
  const auto table = [](int ranks, const MeshDegrees& degrees) {
    std::string text;
    run_ranks(ranks, [&](Communicator& world) {
      const Rank rank(world, degrees);
      const std::string mine = optimizer_table({rank.model.parameters.get(), muon_options(), {}, 0});
      if (world.rank() == 0) text = mine;
      EXPECT_THAT(mine, HasSubstr("muon")) << "rank " << world.rank();
    });
    return text;
  };
  EXPECT_THAT(table(1, {}), Not(HasSubstr("rank")));
  const std::string divided = table(4, {.tp = 2});
  EXPECT_THAT(divided,
              ContainsRegex("layers\\.0\\.ffn\\.down\\.weight +\\[[0-9]+, [0-9]+\\] +muon, 1 x .* on rank [0-3] "));
  EXPECT_THAT(divided, ContainsRegex("experts\\.up .* on ranks \\[[0-3,-]+\\] "));
  EXPECT_THAT(divided, Not(ContainsRegex("adamw[^\n]*rank")));
}

}  // namespace
}  // namespace birkhoff::test
