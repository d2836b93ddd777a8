// What `birkhoff describe layout` says of every rank, compared with ranks that take real steps.
#include "trainer/plan/layout_plan.h"

#include <cstdlib>
#include <mutex>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/engine/memory_exchange.h"
#include "parallel/comm/forwarding.h"
#include "parallel/comm/threads/run_ranks.h"
#include "trainer/bench/subject.h"
#include "trainer/checkpoint/save.h"
#include "trainer/config/layout_rules.h"
#include "trainer/config/reader.h"
#include "trainer/plan/model_memory.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

Config config(std::vector<std::string> overrides = {}) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  overrides.push_back("model.vocab_size=400");
  return load_config(std::string(source ? source : ".") + "/configs/test.yaml", overrides).config;
}

// Bytes that a rank really sends, by group and operation.
using Counts = std::map<std::pair<std::string, Op>, int64_t>;

class CountedCommunicator final : public ForwardingCommunicator {
 public:
  CountedCommunicator(Inner inner, Counts& counts) : ForwardingCommunicator(std::move(inner)), counts_(counts) {}
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    return std::make_unique<CountedCommunicator>(inner().split(color, key, name), counts_);
  }
  Pending start(Operation operation) override {
    counts_[{name(), operation.op}] +=
        operation.count_sent(rank(), size()) * static_cast<int64_t>(size_of(operation.dtype()));
    return inner().start(std::move(operation));
  }

 private:
  Counts& counts_;
};

class VisitedBytes final : public StateVisitor {
 public:
  void replicated(const std::string&, Tensor t, const Slice&, const Communicator&) override { add(t); }
  void shard(const std::string&, Tensor t, const Slice&) override { add(t); }
  void integer(const std::string&, int64_t&) override {}
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}
  int64_t bytes = 0;

 private:
  void add(Tensor t) { bytes += static_cast<int64_t>(t.bytes()); }
};
template <class Owner>
int64_t visited(Owner& owner) {
  VisitedBytes visitor;
  owner.state(visitor);
  return visitor.bytes;
}

// The classes of a plan, of a rank that has taken steps. Rows of a step are bounded by the plan; the scratch of kernels
// and the buffers of communication are not counted by the program.
std::map<std::string, int64_t> held_by(Subject& s) {
  std::map<std::string, int64_t> held;
  held["weights"] = visited(*s.model().parameters);
  held["packed weights"] = packed_weight_bytes(s.model());
  for (const ParameterStore::Entry& e : s.model().parameters->entries()) {
    held["gradients"] += static_cast<int64_t>(e.parameter->grad.bytes());
    for (const Tensor& further : e.parameter->further_grads) held["gradients"] += static_cast<int64_t>(further.bytes());
  }
  held["moments"] = visited(s.trainer().optimizer());
  for (auto& table : s.model().tables) held["Engram tables"] += visited(*table);
  for (auto& table : s.trainer().table_optimizers()) held["moments of tables"] += visited(*table);
  held["activations of a microbatch"] = static_cast<int64_t>(s.trainer().peak_activation_bytes());
  for (const Piece& piece : collect([&](StateVisitor& v) { s.trainer().state(v); }).pieces)
    held["checkpoint staging"] += static_cast<int64_t>(piece.data.bytes());
  return held;
}

class LayoutPlanOfReplicas : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Dp, LayoutPlanOfReplicas, testing::Values(1, 2, 3));

TEST_P(LayoutPlanOfReplicas, EqualsWhatRealRanksHoldAndSend) {
  const int ranks = GetParam();
  const Config c = config();
  const LayoutPlan plan = plan_layout(c, {.dp = ranks});
  ASSERT_EQ(plan.ranks.size(), static_cast<size_t>(ranks));
  std::mutex mutex;
  int64_t rows_sent = 0;
  run_ranks(ranks, [&](Communicator& world) {
    Counts counts;
    CountedCommunicator counted(world, counts);
    Subject subject(counted, c, Device{});
    subject.trainer().measure_gain(true);
    const StepBatch batch = subject.make_batch();
    subject.step(batch);
    counts.clear();
    subject.step(batch);
    const std::lock_guard lock(mutex);
    const LayoutPlan::Rank& planned = plan.ranks[static_cast<size_t>(world.rank())];
    const std::map<std::string, int64_t> rows(planned.memory.bytes.begin(), planned.memory.bytes.end());
    for (const auto& [name, bytes] : held_by(subject)) {
      EXPECT_EQ(rows.at(name), bytes) << "rank " << world.rank() << ": " << name;
      EXPECT_GT(bytes, 0) << name;
    }
    int64_t row_bytes = 0;
    for (const auto& numbers : batch.engram_rows) row_bytes += 2 * std::ssize(numbers) * 8 * 4;
    EXPECT_LE(row_bytes, rows.at("Engram rows of a step"));
    EXPECT_EQ(planned.sent.size(), ranks > 1 ? 1u : 0u);
    for (const SentBytes& sent : planned.sent) {
      EXPECT_EQ(sent.group, "dp");
      EXPECT_EQ(sent.gradients, (counts[{"dp", Op::reduce_scatter_v}])) << "rank " << world.rank();
      EXPECT_EQ(sent.weights, (counts[{"dp", Op::all_gather_v}])) << "rank " << world.rank();
      EXPECT_EQ(sent.sums, (counts[{"dp", Op::all_reduce}])) << "rank " << world.rank();
      EXPECT_EQ(sent.layers, 0);
      rows_sent += counts[{"dp", Op::all_to_all_v}];
    }
    for (const auto& [operation, bytes] : counts) {
      EXPECT_TRUE(bytes == 0 || operation.first == "dp") << operation.first << ' ' << name_of(operation.second);
    }
  });
  if (ranks == 1) return;
  const int64_t bound = ranks * plan.ranks[0].sent[0].table_rows;
  EXPECT_LE(rows_sent, bound);
  EXPECT_GT(rows_sent, bound / 4) << "the bound says something";
}

TEST(LayoutPlanOfMuon, CountsTheMatricesThatRanksSendToEachOther) {
  const Config c = config({"optimizer.type=muon"});
  const LayoutPlan plan = plan_layout(c, {.tp = 2, .dp = 2});
  const auto engram = addresses_without_tokenizer(c);
  run_ranks(4, [&](Communicator& world) {
    Counts counts;
    CountedCommunicator counted(world, counts);
    const Mesh mesh(counted, {.tp = 2});
    Model model = make_model({}, mesh, model_options(c, c.model.vocab_size, &engram->hash()));
    DenseOptimizer optimizer({}, *model.parameters, trainer_options(c, &engram->hash()).optimizer);
    counts.clear();
    Stream stream;
    optimizer.step(stream, {});
    const std::vector<SentBytes>& sent = plan.ranks[static_cast<size_t>(world.rank())].sent;
    for (const SentBytes& to : sent) {
      EXPECT_EQ(to.matrices, (counts[{to.group, Op::all_to_all_v}])) << "rank " << world.rank() << ", " << to.group;
      EXPECT_EQ(to.matrices > 0, to.group == "tp") << to.group;
    }
  });
}

// The ranges that the dry ranks of a layout own cover the model once, also along axes that no step can use yet.
TEST(DryRank, OwnsItsPartOfWhatItsDivisionsGiveIt) {
  const Config c = config();
  for (const char* layout : {"dp3", "tp2.dp2.ep4", "tp2.etp2.ep2", "tp4.dp2.etp2"}) {
    const MeshDegrees degrees = with_least_dp(parse_layout(layout));
    const int ranks = degrees.tp * degrees.dp;
    int64_t owned = 0, parameters = 0, rows = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const DryRank dry(c, degrees, rank);
      for (const ParameterStore::Owned& o : dry.model().parameters->owned()) owned += o.value.count();
      for (const auto& table : dry.model().tables) rows += table->local_values().shape[0];
      parameters = dry.model().parameters->num_parameters();
    }
    EXPECT_EQ(owned, parameters) << layout;
    EXPECT_EQ(rows, DryRank(c, {.dp = 1}, 0).model().tables[0]->num_rows()) << layout;
  }
}

// What a rank takes between divided layers, over its share of what one rank alone takes.
double over_share(int tp, std::vector<std::string> settings, int length = 256) {
  settings.push_back(concat("batch.sequence_length=", length));
  const auto between = [&](int degree) {
    const RankBytes bytes = DryRank(config(settings), {.tp = degree, .dp = 1}, 0).run().bytes;
    EXPECT_GT(bytes.between_layers, 0);
    return static_cast<double>(bytes.between_layers);
  };
  return tp * between(tp) / between(1);
}

TEST(DryRank, TakesItsShareOfActivationsBetweenLayers) {
  for (const char* residual : {"plain", "hc", "mhc", "mhc_single_pass"}) {
    const std::string type = concat("model.residual.type=", residual);
    for (const int tp : {2, 4}) {
      EXPECT_NEAR(over_share(tp, {type}), 1, 0.01) << residual << ", tp" << tp;
      EXPECT_NEAR(over_share(tp, {type, "model.recompute=block"}), 1, 0.01) << residual << ", tp" << tp;
      EXPECT_NEAR(over_share(tp, {type, "model.engram.conv=true"}), 1, 0.05) << residual << ", tp" << tp;
    }
  }
  EXPECT_NEAR(over_share(4, {"model.recompute=mhc"}), 1, 0.01);
  EXPECT_NEAR(
      over_share(4, {"model.attention.type=gqa", "model.attention.head_dim=8", "model.attention.num_kv_heads=4"}), 1,
      0.01);
  // Padding counts: 36 tokens instead of 33. Rounding every tensor up to cache lines adds a little.
  EXPECT_NEAR(over_share(4, {}, 33), 36. / 33, 0.04);
  EXPECT_GT(over_share(4, {}, 33), 1.05);
}

// What real ranks take is what the plan says, to the byte, where no expert is divided.
TEST(DryRank, PlansTheActivationsOfRealRanksBetweenLayers) {
  for (const int tp : {1, 2, 4}) {
    const Config c = config({concat("parallel.tp=", tp)});
    run_ranks(tp, [&](Communicator& world) {
      Subject subject(world, c, Device{});
      for (int i = 0; i < 2; ++i) subject.step();
      const RankBytes planned = DryRank(c, {.tp = tp, .dp = 1}, world.rank()).run().bytes;
      EXPECT_EQ(static_cast<int64_t>(subject.trainer().bytes_between_layers()), planned.between_layers) << tp;
      EXPECT_EQ(held_bytes(subject.model(), subject.trainer(), 32).between_layers, planned.between_layers) << tp;
    });
  }
}

TEST(DryRank, HasBuffersForEveryGroupOfSeveralRanks) {
  const auto buffers = [](const MeshDegrees& layout, int ranks_on_host) {
    return DryRank(config(), layout, 0, ranks_on_host).run().bytes.communication_buffers;
  };
  EXPECT_EQ(buffers({.dp = 1}, 1), 0);
  // The world, the replicas and the writer of checkpoints, each with two areas.
  constexpr double kAreas = 3 * 2 * Board::kArea_bytes;
  EXPECT_NEAR(static_cast<double>(buffers({.dp = 2}, 2)), kAreas, 3 * (1 << 12));
  EXPECT_NEAR(static_cast<double>(buffers({.dp = 4}, 2)), kAreas, 3 * (1 << 12));
}

// Groups of two ranks, to which a token sends more copies than a group has ranks.
TEST(DryRank, PlansADispatchInTwoSteps) {
  const Config c = config({"model.moe.num_groups=4", "model.moe.top_groups=3", "model.moe.top_k=3",
                           "batch.global_batch_size=8", "batch.micro_batch_size=1"});
  DryRank rank(c, {.ep = 8, .dp = 8, .dispatch = Dispatch::grouped}, 0);
  rank.run();
  std::map<std::string, int64_t> layers;
  for (const SentBytes& sent : rank.sent()) layers[sent.group] = sent.layers;
  // Three copies between the four groups, of which a fourth stays; one copy of each within a group, of which half stay.
  EXPECT_GT(layers.at("ep_within"), 0);
  EXPECT_GT(layers.at("ep_across"), layers.at("ep_within"));
}

TEST(LayoutPlan, OfTheReferenceDeviceTakesTwiceTheMemory) {
  const LayoutPlan f64 = plan_layout(config({"run.device=reference"}), {.dp = 2}),
                   f32 = plan_layout(config(), {.dp = 2});
  for (size_t i = 0; i < f32.ranks[1].memory.bytes.size(); ++i) {
    const auto& [name, bytes] = f32.ranks[1].memory.bytes[i];
    const int64_t times = name == "packed weights" || name == "communication buffers" ? 1
                          : name == "kernel scratch"                                  ? 0
                                                                                      : 2;
    EXPECT_EQ(f64.ranks[1].memory.bytes[i].second, times * bytes) << name;
  }
}

LayoutPlan::Rank rank_with(int dp, int64_t weights, int64_t gradients) {
  LayoutPlan::Rank rank;
  rank.place.degrees = {1, 1, 4, 1, 1, 1, 4, 1};
  rank.place.coordinates = {0, 0, dp, 0, 0, 0, dp, 0};
  rank.memory.bytes = {{"weights", weights}, {"moments", 0}};
  rank.sent = {{.group = "dp", .gradients = gradients}};
  return rank;
}

TEST(LayoutPlan, IsPrintedWithEqualRanksInOneColumn) {
  const LayoutPlan plan{{.dp = 4},
                        {rank_with(0, 1000, 8), rank_with(1, 2000, 8), rank_with(2, 2000, 8), rank_with(3, 2000, 8)}};
  EXPECT_EQ(print(plan),
            "layout dp4, 4 ranks\n\n"
            "rank      dp\n   0       0\n   1       1\n   2       2\n   3       3\n\n"
            "bytes that a rank holds                         rank 0         ranks 1-3\n"
            "  weights                                        1,000             2,000\n"
            "  all                                            1,000             2,000\n\n"
            "bytes that it sends in a step                   rank 0         ranks 1-3\n"
            "  dp: gradients                                      8                 8\n"
            "  all                                                8                 8\n");
  EXPECT_EQ(plan.fullest(), 1u);
}

TEST(LayoutPlan, NamesRanksThatAreNoNeighbors) {
  const LayoutPlan plan{{.dp = 4}, {rank_with(0, 1, 8), rank_with(1, 2, 8), rank_with(2, 1, 8), rank_with(3, 1, 8)}};
  EXPECT_THAT(print(plan), AllOf(HasSubstr("ranks 0,2,3"), HasSubstr(" rank 1"), Not(HasSubstr("moments"))));
}

TEST(LayoutPlan, ListsTheLayoutWhoseFullestRankHoldsTheLeastFirst) {
  const LayoutPlan wide{{.dp = 4}, {rank_with(0, 7, 8), rank_with(1, 9, 8)}},
      narrow{{.tp = 2, .dp = 2}, {rank_with(0, 8, 99)}};
  EXPECT_THAT(print({wide, narrow}), ContainsRegex("tp2.dp2 +8 +0 +99\ndp4 +9 +1 +8\n"));
}

// Sums whose elements a group does not divide evenly are among what is counted.
TEST(LayoutPlan, DescribesEveryLayoutOfEightRanks) {
  const Config c = config();
  const std::vector<MeshDegrees> layouts = layouts_of(c, 8);
  EXPECT_GT(layouts.size(), 10u);
  for (const MeshDegrees& layout : layouts) EXPECT_EQ(plan_layout(c, layout).ranks.size(), 8u) << layout_name(layout);
}

TEST(LayoutPlan, RefusesMoreRanksThanItDescribes) { EXPECT_THROW(plan_layout(config(), {.dp = 4097}), UserError); }

}  // namespace
}  // namespace birkhoff
