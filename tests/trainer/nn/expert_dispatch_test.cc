// Tokens travel to the ranks of their experts and back. The experts are replaced by factors: expert e multiplies by
// e + 1, so that outputs, gradients and rows can be computed by hand.
#include "trainer/nn/expert_dispatch.h"

#include <set>

#include <gmock/gmock.h>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/op_case.h"
#include "trainer/nn/row_exchange.h"

namespace birkhoff::test {
namespace {

constexpr int64_t kExperts = 8, kChosen = 3, kChannels = 5, kGroups = 4;

struct Case {
  const char* name;
  int ranks = 1;
  MeshDegrees degrees = {};
  GatePosition position = GatePosition::output;
  // The experts of token t of a rank; those of one token differ.
  std::function<std::vector<int64_t>(int rank, int64_t token)> chosen;
  // The tokens of a rank, and which of them are padding.
  std::function<int64_t(int rank)> tokens = [](int) { return int64_t{7}; };
  std::function<bool(int rank, int64_t token)> pads = [](int, int64_t token) { return token == 2; };
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

double value(uint64_t key, int rank, int64_t i) { return Philox(key, static_cast<uint64_t>(rank)).normal(i); }

Tensor drawn(Stream& stream, Arena& arena, Shape shape, uint64_t key, int rank) {
  const Tensor t = arena.take(DType::f32, shape);
  std::vector<double> values(static_cast<size_t>(t.count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = value(key, rank, static_cast<int64_t>(i));
  write_values(stream, t, values);
  return t;
}

// A rank with its tokens, which sends them to the factors and back.
class Traveler {
 public:
  Traveler(Communicator& world, const Case& c)
      : case_(c),
        rank_(world.rank()),
        mesh_(world, c.degrees),
        build_{Device{DeviceKind::reference}, &mesh_},
        stream_{build_.device},
        arena_(build_.device) {
    options_.num_experts = kExperts;
    options_.top_k = kChosen;
    options_.num_groups = kGroups;
    options_.top_groups = kChosen;
    options_.gate_position = c.position;
    dispatch_ = make_expert_dispatch(build_, kChannels, options_);
    frame_ = std::make_unique<Frame>(stream_, build_.num_slots);
    make_tokens();
  }

  void travel() {
    const Experts::Input input = dispatch_->send(*frame_, tokens_);
    rows = input.x.shape[0];
    const Tensor y = frame_->take_gradient(dispatch_->partial(), input.x.shape);
    multiply(input, y, values_of(input.x));
    output = values_of(dispatch_->return_outputs(*frame_, y, tokens_, base_));
    const Tensor dgate = frame_->take_statistic_gradient(tokens_.gate.shape);
    fill(stream_, dgate, 1e9);  // must be overwritten
    const Tensor dy = dispatch_->send_gradients(*frame_, dy_, tokens_, dgate);
    const Tensor dx = frame_->take_gradient(dispatch_->partial(), dy.shape);
    const bool gated = input.gate.present();
    const Tensor dgate_of_input = gated ? frame_->take_statistic_gradient(input.gate.shape) : Tensor{};
    multiply(input, dx, values_of(dy));
    if (gated) gate_gradients(input, dgate_of_input, values_of(dy));
    input_gradient = values_of(dispatch_->return_gradients(*frame_, dx, dgate_of_input, dgate));
    gate_gradient = values_of(dgate);
  }

  // What one rank computes for these tokens.
  void expect_equal() const {
    const int64_t T = tokens_.x.shape[0];
    const std::vector<double> x = values_of(tokens_.x), gate = values_of(tokens_.gate), base = values_of(base_),
                              dy = values_of(dy_);
    for (int64_t i = 0; i < T * kChannels; ++i) {
      const int64_t t = i / kChannels;
      double factor = 0;
      for (int64_t k = 0; !case_.pads(rank_, t) && k < kChosen; ++k) {
        factor += gate[at(t * kChosen + k)] * static_cast<double>(chosen_[at(t * kChosen + k)] + 1);
      }
      EXPECT_NEAR(output[at(i)], base[at(i)] + factor * x[at(i)], 1e-12) << "token " << t;
      EXPECT_NEAR(input_gradient[at(i)], factor * dy[at(i)], 1e-12) << "token " << t;
    }
    for (int64_t p = 0; p < T * kChosen; ++p) {
      const int64_t t = p / kChosen;
      double product = 0;
      for (int64_t c = 0; c < kChannels; ++c) product += x[at(t * kChannels + c)] * dy[at(t * kChannels + c)];
      const double expected = case_.pads(rank_, t) ? 0 : static_cast<double>(chosen_[at(p)] + 1) * product;
      EXPECT_NEAR(gate_gradient[at(p)], expected, 1e-12) << "token " << t << ", choice " << p % kChosen;
    }
  }

  // The rows that this rank's tokens may send: one for each expert, or, grouped, one for each group of ranks.
  int64_t copies() const {
    int64_t count = 0;
    const int64_t each = kExperts / with_groups();
    for (int64_t t = 0; t < tokens_.x.shape[0]; ++t) {
      if (case_.pads(rank_, t)) continue;
      std::set<int64_t> groups;
      for (int64_t k = 0; k < kChosen; ++k) groups.insert(chosen_[at(t * kChosen + k)] / each);
      count += mesh_.dispatch() == Dispatch::grouped ? static_cast<int64_t>(groups.size()) : kChosen;
    }
    return count;
  }

  int64_t rows = 0;  // that came to this rank

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  int64_t with_groups() const { return mesh_.degree(Axis::ep); }  // rows arrive once at each rank

  void make_tokens() {
    const int64_t T = case_.tokens(rank_);
    std::vector<int32_t> index;
    std::vector<uint8_t> mask;
    for (int64_t t = 0; t < T; ++t) {
      for (const int64_t e : case_.chosen(rank_, t)) {
        index.push_back(static_cast<int32_t>(e));
        chosen_.push_back(e);
      }
      mask.push_back(case_.pads(rank_, t) ? 0 : 1);
    }
    tokens_ = {drawn(stream_, arena_, {T, kChannels}, 1, rank_), arena_.take(DType::i32, {T, kChosen}),
               drawn(stream_, arena_, {T, kChosen}, 2, rank_), arena_.take(DType::u8, {T})};
    from_host(stream_, tokens_.index, index.data());
    from_host(stream_, tokens_.mask, mask.data());
    base_ = drawn(stream_, arena_, {T, kChannels}, 3, rank_);
    dy_ = drawn(stream_, arena_, {T, kChannels}, 4, rank_);
  }

  // This rank's factor for a pair: its share of that of the expert.
  double factor(int64_t own) const {
    const int64_t first = kExperts / mesh_.degree(Axis::ep) * mesh_.coordinate(Axis::ep);
    const auto shards = static_cast<double>(mesh_.degree(Axis::etp));
    return own < 0 ? 0 : static_cast<double>(first + own + 1) / shards;
  }

  void multiply(const Experts::Input& input, Tensor out, std::vector<double> in) const {
    const int64_t K = input.index.shape[1];
    const std::vector<double> index = values_of(input.index);
    const std::vector<double> gate =
        input.gate.present() ? values_of(input.gate) : std::vector<double>(index.size(), 1);
    for (size_t i = 0; i < in.size(); ++i) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        const size_t p = at(static_cast<int64_t>(i) / kChannels * K + k);
        sum += gate[p] * factor(static_cast<int64_t>(index[p]));
      }
      in[i] *= sum;
    }
    set_values(out, in);
  }

  void gate_gradients(const Experts::Input& input, Tensor dgate, const std::vector<double>& dy) const {
    const int64_t K = input.index.shape[1];
    const std::vector<double> index = values_of(input.index), x = values_of(input.x);
    std::vector<double> gradients(index.size(), 0.0);
    for (size_t p = 0; p < gradients.size(); ++p) {
      for (int64_t c = 0; c < kChannels; ++c) {
        const size_t i = at(static_cast<int64_t>(p) / K * kChannels + c);
        gradients[p] += factor(static_cast<int64_t>(index[p])) * x[i] * dy[i];
      }
    }
    set_values(dgate, gradients);
  }

  const Case& case_;
  int rank_;
  Mesh mesh_;
  Build build_;
  Stream stream_;
  Arena arena_;
  MoeOptions options_;
  std::unique_ptr<ExpertDispatch> dispatch_;
  std::unique_ptr<Frame> frame_;
  ExpertDispatch::Tokens tokens_;
  std::vector<int64_t> chosen_;
  Tensor base_, dy_;
  std::vector<double> output, input_gradient, gate_gradient;
};

class Dispatched : public testing::TestWithParam<Case> {};

TEST_P(Dispatched, ComputesWhatOneRankComputesAndSendsNoRowTwice) {
  const Case& c = GetParam();
  run_ranks(c.ranks, [&](Communicator& world) {
    Traveler traveler(world, c);
    traveler.travel();
    traveler.expect_equal();
    // Each rank of etp sees the rows of all of them.
    const int64_t seen = all_reduce_on_host(world, traveler.rows), sent = all_reduce_on_host(world, traveler.copies());
    EXPECT_EQ(seen, c.degrees.etp * sent);
  });
}

std::vector<int64_t> spread(int rank, int64_t t) {
  return {(3 * t + rank) % 8, (3 * t + rank + 1) % 8, (t + 5 + rank) % 8};
}
std::vector<int64_t> distinct(std::vector<int64_t> experts) {
  while (experts[2] == experts[0] || experts[2] == experts[1]) experts[2] = (experts[2] + 1) % kExperts;
  return experts;
}

std::vector<Case> cases() {
  const auto all = [](int rank, int64_t t) { return distinct(spread(rank, t)); };
  const auto first = [](int, int64_t) { return std::vector<int64_t>{0, 1, 2}; };
  // Experts 2 to 5 have no tokens: a whole group, or a rank and parts of others.
  const auto outer = [](int rank, int64_t t) {
    return t % 2 == rank % 2 ? std::vector<int64_t>{7, 0, 6} : std::vector<int64_t>{1, 6, 0};
  };
  const auto alone = [](int rank) { return rank == 0 ? int64_t{9} : int64_t{0}; };
  const auto on_one = [](int rank, int64_t) { return rank == 1; };
  const MeshDegrees ep4{.ep = 4}, grouped{.ep = 4, .dispatch = Dispatch::grouped, .ep_groups = 4},
      steps{.ep = 4, .dispatch = Dispatch::grouped, .ep_groups = 2}, shards{.etp = 2, .ep = 2},
      both{.etp = 2, .ep = 4, .dispatch = Dispatch::grouped, .ep_groups = 2};
  std::vector<Case> cases;
  struct Layout {
    const char* name;
    int ranks;
    MeshDegrees degrees;
  };
  for (const Layout& l : {Layout{"ep4", 4, ep4}, Layout{"etp2", 2, {.etp = 2}}, Layout{"ep2_etp2", 4, shards},
                          Layout{"grouped", 4, grouped}, Layout{"grouped_in_steps", 4, steps},
                          Layout{"grouped_in_steps_etp2", 8, both}}) {
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::output, all});
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::inner, all});
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::output, first});
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::inner, outer});
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::output, all, alone});
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::inner, all, [](int) { return int64_t{4}; }, on_one});
    cases.push_back({l.name, l.ranks, l.degrees, GatePosition::output, all, [](int) { return int64_t{0}; }});
  }
  return cases;
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  static constexpr const char* kKinds[] = {"spread",
                                           "inner_gates",
                                           "all_to_the_first_experts",
                                           "experts_without_tokens",
                                           "tokens_of_one_rank",
                                           "padding_on_one_rank",
                                           "no_tokens"};
  return concat(info.param.name, "_", kKinds[info.index % std::size(kKinds)]);
}
INSTANTIATE_TEST_SUITE_P(Layouts, Dispatched, testing::ValuesIn(cases()), name_of_case);

// Numbers that bf16 holds arrive as they are, others rounded.
TEST(RowExchange, RoundsRowsToTheirPayload) {
  run_ranks(2, [](Communicator& world) {
    const RowExchange exchange(world);
    Frame frame(Stream{}, 0);
    const Tensor to = frame.take_index({3, 1}), rows = frame.take(DType::f32, {3, 2}),
                 back = frame.take(DType::f32, {3, 2});
    set_values(to, {1, 0, 1});
    const RowRoute route = exchange.route(frame, to, 3);
    set_values(rows, {1.5, 1 + 1.0 / 1024, 3, 4, 5, 6});
    const Tensor arrived = frame.take(DType::f32, {route.num_received, 2});
    for (const Payload payload : {Payload::activation, Payload::bf16}) {
      exchange.send(frame, route, arrived, rows, payload);
      exchange.give_back(frame, route, back, arrived, payload);
      const double second = payload == Payload::bf16 ? 1 : 1 + 1.0 / 1024;
      EXPECT_THAT(values_of(back), testing::ElementsAre(1.5, second, 3, 4, 5, 6));
    }
  });
}

TEST(ExpertDispatches, AreNotNeededWhereARankHoldsAllExperts) {
  run_ranks(2, [](Communicator& world) {
    const Mesh mesh(world, {});
    Build build{Device{}, &mesh};
    EXPECT_EQ(make_expert_dispatch(build, kChannels, {.num_experts = kExperts}), nullptr);
  });
  Build alone{Device{}};
  EXPECT_EQ(make_expert_dispatch(alone, kChannels, {.num_experts = kExperts}), nullptr);
}

}  // namespace
}  // namespace birkhoff::test
