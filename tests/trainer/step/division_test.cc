// How the parameters of every variant of the model are divided over ranks. The cuts and the groups of gradient sums are
// those of table() below (groups: docs/architecture.md), and each element is held by the ranks that sum its gradient.
// Initial values, the norm, an update, and a checkpoint that other ranks load are bitwise those of one rank. Degrees of
// 2 and 3 divide some dims evenly and some unevenly, and leave some ranks without a head. No forward runs here.
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <regex>
#include <set>

#include <gmock/gmock.h>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "parallel/shard/cover.h"
#include "tests/support/temp_dir.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/optim/optimizer.h"
#include "trainer/step/sums.h"

namespace birkhoff::test {
namespace {

struct Layout {
  std::string name;
  int ranks;
  MeshDegrees degrees;
};

std::vector<Layout> layouts() {
  return {{"one", 1, {}},
          {"dp2", 2, {}},
          {"tp2", 2, {.tp = 2}},
          {"tp3", 3, {.tp = 3}},
          {"tp2.dp2", 4, {.tp = 2}},
          {"ep2", 2, {.ep = 2}},
          {"ep3", 3, {.ep = 3}},
          {"etp2", 2, {.etp = 2}},
          {"etp3", 3, {.etp = 3}},
          {"ep2.edp2", 4, {.ep = 2}},
          {"etp2.edp2", 4, {.etp = 2}},
          {"tp2.etp3", 6, {.tp = 2, .etp = 3}},
          {"cp2.tp2", 4, {.tp = 2, .cp = 2}},
          {"tp2.ep3.etp2", 6, {.tp = 2, .etp = 2, .ep = 3}},
          {"tp3.ep2.etp3", 6, {.tp = 3, .etp = 3, .ep = 2}}};
}

// The layouts of `all` at which a variant is tested. A sanitizer looks for faults that hardly depend on the variant and
// makes the test slow, so its builds take one rank and every eighth other layout, others for each variant.
std::vector<Layout> layouts_for(const Variant& variant, const std::vector<Layout>& all) {
#ifdef BIRKHOFF_SANITIZED
  std::vector<Layout> some{all[0]};
  for (size_t i = 1; i < all.size(); ++i) {
    if ((i + key_of(variant.name)) % 8 == 0) some.push_back(all[i]);
  }
  return some;
#else
  static_cast<void>(variant);
  return all;
#endif
}

// One rank's part of a model, and its dense optimizer.
struct Divided {
  Divided(Communicator& world, const Layout& layout, const ModelOptions& options, OptimizerType kind)
      : mesh(world, layout.degrees), model(make_model(stream.device, mesh, options)), optimizer(made(kind)) {}
  DenseOptimizer made(OptimizerType kind) {
    OptimizerOptions o;
    o.type = kind;
    o.adamw.weight_decay = 0;
    return {stream.device, *model.parameters, o};
  }
  std::function<void(StateVisitor&)> state() {
    return [this](StateVisitor& v) {
      model.state(v);
      optimizer.state(v);
    };
  }

  // One update. The gradient is a function of the name and element of the logical tensor. Each rank of the group over
  // which a gradient is summed contributes a part of it, in numbers whose sums are exact.
  void step() {
    model.parameters->begin_step(stream);
    for (const ParameterStore::Entry& e : model.parameters->entries()) {
      const Parameter& p = *e.parameter;
      const Communicator& group = mesh.group(group_of(p.gradient_sum()));
      const Philox random(3, key_of(p.name));
      const int64_t ranks = group.size(), rank = group.rank();
      std::vector<double> values(static_cast<size_t>(p.grad.count()));
      p.held.for_each_run([&](int64_t first, int64_t local, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          const auto sum = static_cast<int64_t>(random.below(static_cast<uint64_t>(first + i), 1025)) - 512;
          values[static_cast<size_t>(local + i)] =
              static_cast<double>(sum * (rank + 1) / ranks - sum * rank / ranks) / 256;
        }
      });
      write_values(stream, p.grad, values);
    }
    for (int unit = model.num_units(); unit-- > 0;) model.parameters->start_reduce(stream, unit);
    model.parameters->wait_reduced(stream);
    record_squares();
    optimizer.step(stream, {.learning_rate = 0.01, .grad_scale = 0.5, .step = 1});
    model.parameters->publish(stream);
  }

  Stream stream{Device{}};
  Mesh mesh;
  Model model;
  DenseOptimizer optimizer;
  std::vector<double> squares;  // the sum of squares of each gradient, once there is a step

 private:
  void record_squares() {
    Arena arena(stream.device);
    std::vector<TensorSum> sums = list_of_sums(model, {});
    read_sums(read_values(stream, sums_of_squares(stream, arena, mesh, model)), sums);
    for (const TensorSum& sum : sums) squares.push_back(sum.squares);
    squares.push_back(norm_of(sums));
  }
};

// Assembles every logical tensor of the state from the parts of all ranks.
class Whole {
 public:
  void add(const std::string& name, const std::vector<double>& local, const Slice& slice) {
    const std::lock_guard lock(mutex_);
    std::vector<double>& values = tensors_[name];
    values.resize(static_cast<size_t>(slice.global.count()), std::numeric_limits<double>::quiet_NaN());
    slice.for_each_run([&](int64_t first, int64_t from, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        double& value = values[static_cast<size_t>(first + i)];
        const double held = local[static_cast<size_t>(from + i)];
        EXPECT_TRUE(std::isnan(value) || value == held) << name << ": ranks differ in element " << first + i;
        value = held;
      }
    });
  }
  // Names of the tensors that are not bitwise equal to those of `other`, or that have an element which no rank holds.
  std::vector<std::string> differences(const Whole& other) const {
    std::vector<std::string> names;
    for (const auto& [name, values] : tensors_) {
      const auto found = other.tensors_.find(name);
      if (found == other.tensors_.end() || found->second != values) names.push_back(name);
    }
    if (other.tensors_.size() != tensors_.size()) names.push_back("the number of tensors");
    return names;
  }
  // The sums of squares of the gradients, which every rank must have.
  void add_squares(const std::vector<double>& squares) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(squares_.empty() || squares_ == squares) << "ranks differ in the squares of a gradient";
    squares_ = squares;
  }
  const std::vector<double>& squares() const { return squares_; }
  size_t size() const { return tensors_.size(); }

 private:
  std::mutex mutex_;
  std::vector<double> squares_;
  std::map<std::string, std::vector<double>> tensors_;
};

class Gather final : public StateVisitor {
 public:
  Gather(Stream& stream, Whole& whole) : stream_(stream), whole_(whole) {}
  void replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator&) override {
    shard(name, local, slice);
  }
  void shard(const std::string& name, Tensor local, const Slice& slice) override {
    whole_.add(name, read_values(stream_, local), slice);
  }
  void integer(const std::string&, int64_t&) override {}
  void real(const std::string&, double&) override {}
  void text(const std::string&, std::string&) override {}

 private:
  Stream& stream_;
  Whole& whole_;
};

// Calls `body` on every rank of the layout, then gathers the state into `after`.
void run(const Layout& layout, const ModelOptions& options, Whole& after,
         const std::function<void(Divided&, Communicator&)>& body, OptimizerType kind = OptimizerType::adamw) {
  run_ranks(layout.ranks, [&](Communicator& world) {
    Divided divided(world, layout, options, kind);
    divided.model.initialize(divided.stream, 1);
    body(divided, world);
    Gather gather(divided.stream, after);
    divided.state()(gather);
    after.add_squares(divided.squares);
  });
}

using Cuts = std::vector<std::pair<int, Axis>>;
struct Row {
  const char* names;
  Cuts cuts;
  GradientSum sum;
};

// For each parameter: the dims that are cut and along which axes, and the group over which its gradient is summed.
const std::vector<Row>& table() {
  static const std::vector<Row> rows{
      {".*ffn\\.experts\\.up", {{0, Axis::ep}, {1, Axis::etp}}, GradientSum::edp},
      {".*ffn\\.experts\\.down", {{0, Axis::ep}, {2, Axis::etp}}, GradientSum::edp},
      {"(embedding|head)\\.weight", {{0, Axis::tp}}, GradientSum::batch},
      {".*attention\\.(q|q_b|kv|kv_b)\\.(weight|bias)", {{0, Axis::tp}}, GradientSum::batch},
      {".*(ffn|shared)\\.up\\.(weight|bias)", {{0, Axis::tp}}, GradientSum::batch},
      {".*(attention\\.out|ffn\\.down|shared\\.down)\\.weight", {{1, Axis::tp}}, GradientSum::batch},
      {".*(attention\\.out|ffn\\.down)\\.bias", {}, GradientSum::stage},
      {".*attention\\.(q_a|kv_a)\\.weight", {}, GradientSum::stage},
      {".*ffn\\.gate\\.weight", {}, GradientSum::stage},
      {".*norm\\.(weight|bias)", {}, GradientSum::stage},
      {".*(attention|ffn|collapse|engram)\\.(fn|base|scale)", {}, GradientSum::stage},
      {".*engram\\.(wkv\\.weight|wkv\\.bias|q_weight|k_weight|conv|conv_norm)", {}, GradientSum::stage},
      {"mtp\\.\\d+\\.(e_proj|h_proj)\\.weight", {}, GradientSum::stage},
      {"(positions|embedding\\.positions).*", {}, GradientSum::stage}};
  return rows;
}

TEST(Division, OfEveryParameterIsThatOfTheTable) {
  for (const Variant& variant : variants()) {
    Whole ignored;
    run({"one", 1, {}}, variant.options, ignored, [&](Divided& d, Communicator&) {
      for (const ParameterStore::Entry& e : d.model.parameters->entries()) {
        const Parameter& p = *e.parameter;
        std::vector<const Row*> found;
        for (const Row& row : table()) {
          if (std::regex_match(p.name, std::regex(row.names))) found.push_back(&row);
        }
        ASSERT_EQ(found.size(), 1u) << variant.name << ": " << p.name;
        Cuts cuts;
        for (const Cut& cut : p.division.cuts) cuts.push_back({cut.dim, cut.over});
        EXPECT_EQ(cuts, found[0]->cuts) << variant.name << ": " << p.name;
        EXPECT_EQ(p.gradient_sum(), found[0]->sum) << variant.name << ": " << p.name;
      }
    });
  }
}

// The outputs that a rank computes with its part of one parameter are the inputs of its part of the next parameter.
TEST(Division, MatchesBetweenConsecutiveParameters) {
  for (const Variant& variant : variants()) {
    const AttentionOptions& a = variant.options.decoder.attention;
    for (const Layout& layout : layouts_for(variant, layouts())) {
      SCOPED_TRACE(variant.name + " at " + layout.name);
      Whole ignored;
      run(layout, variant.options, ignored, [&](Divided& d, Communicator&) {
        std::map<std::string, const Parameter*> all;
        for (const ParameterStore::Entry& e : d.model.parameters->entries()) all[e.parameter->name] = e.parameter;
        // Which indices of dim `dim` of the logical tensor the rank holds, in units of `unit`.
        const auto held = [&](const std::string& name, int dim, int64_t unit, int64_t first, int64_t end) {
          std::set<int64_t> units;
          const Slice& slice = all.at(name)->held;
          for (int64_t i = 0; i < slice.count(); ++i) {
            const int64_t index = slice.indices_of(i)[dim];
            if (index >= first && index < end) units.insert((index - first) / unit);
          }
          return units;
        };
        for (const auto& [name, p] : all) {
          const int64_t rows = p->shape[0];
          if (name.ends_with("attention.q.weight") && a.type != AttentionType::mla) {
            const std::string at = name.substr(0, name.size() - 8);
            const int64_t D = a.head_dim, share = a.num_heads / a.num_kv_heads * D, keys = a.num_kv_heads * D;
            EXPECT_EQ(held(name, 0, share, 0, rows), held(at + "kv.weight", 0, D, 0, keys)) << name;
            EXPECT_EQ(held(name, 0, share, 0, rows), held(at + "kv.weight", 0, D, keys, 2 * keys)) << name;
            EXPECT_EQ(held(name, 0, D, 0, rows), held(at + "out.weight", 1, D, 0, rows)) << name;
          }
          if (name.ends_with("attention.kv_b.weight")) {
            const std::string at = name.substr(0, name.size() - 11);
            const auto heads = held(name, 0, a.qk_nope_head_dim + a.v_head_dim, 0, rows);
            const std::string q = all.contains(at + "q_b.weight") ? "q_b.weight" : "q.weight";
            EXPECT_EQ(heads, held(at + q, 0, a.qk_nope_head_dim + a.qk_rope_head_dim, 0, INT64_MAX)) << name;
            EXPECT_EQ(heads, held(at + "out.weight", 1, a.v_head_dim, 0, INT64_MAX)) << name;
          }
          if (name.ends_with(".up.weight") || name.ends_with(".experts.up")) {
            const std::string down = std::string(name).replace(name.rfind(".up"), 3, ".down");
            const int dim = name.ends_with("experts.up") ? 1 : 0;
            const int64_t inner = all.at(down)->shape.back(), width = p->shape[dim];
            for (int64_t begin = 0; begin < width; begin += inner) {
              EXPECT_EQ(held(name, dim, 1, begin, begin + inner), held(down, dim + 1, 1, 0, inner)) << name;
            }
          }
        }
      });
    }
  }
}

// The ranks over which a gradient is summed hold the same part of the parameter, and the parts of all such groups cover
// the parameter.
TEST(Division, GivesEachElementToTheRanksThatSumItsGradient) {
  for (const Variant& variant : variants()) {
    for (const Layout& layout : layouts_for(variant, layouts())) {
      SCOPED_TRACE(variant.name + " at " + layout.name);
      std::map<std::string, std::map<std::vector<int>, Slice>> held;  // by parameter and group
      std::mutex mutex;
      const auto degrees = resolve_degrees(layout.degrees, layout.ranks);
      Whole ignored;
      run(layout, variant.options, ignored, [&](Divided& d, Communicator& world) {
        const std::lock_guard lock(mutex);
        for (const ParameterStore::Entry& e : d.model.parameters->entries()) {
          const Parameter& p = *e.parameter;
          const auto members = members_of(group_of(p.gradient_sum()), world.rank(), degrees);
          const auto [place, added] = held[p.name].try_emplace(members, p.held);
          EXPECT_TRUE(added || place->second == p.held) << p.name << ": rank " << world.rank();
          EXPECT_EQ(p.value.count(), p.held.count());
        }
      });
      for (const auto& [name, parts] : held) {
        std::vector<Box> boxes;
        std::set<int> ranks;
        for (const auto& [members, slice] : parts) {
          boxes.insert(boxes.end(), slice.boxes.begin(), slice.boxes.end());
          ranks.insert(members.begin(), members.end());
        }
        EXPECT_EQ(find_cover_defect(parts.begin()->second.global, boxes), "") << name;
        EXPECT_EQ(ranks.size(), static_cast<size_t>(layout.ranks)) << name;
      }
    }
  }
}

TEST(Division, ChangesNoInitialValue) {
  for (const Variant& variant : variants()) {
    const auto nothing = [](Divided&, Communicator&) {};
    Whole one;
    run(layouts()[0], variant.options, one, nothing);
    ASSERT_GT(one.size(), 30u);
    for (const Layout& layout : layouts_for(variant, layouts())) {
      Whole many;
      run(layout, variant.options, many, nothing);
      EXPECT_THAT(many.differences(one), testing::IsEmpty()) << variant.name << " at " << layout.name;
    }
  }
}

void save(Divided& d, Communicator& world, const std::filesystem::path& directory) {
  CheckpointWriter writer(world, Device{}, {directory, 1, true});
  writer.begin(1, d.state(), {{"config.yaml", "x"}});
  const auto report = writer.finish();
  if (!report || !report->saved) throw DataError(report ? report->error : "no report");
}

void load(Divided& d, Communicator& world, const std::filesystem::path& directory) {
  const auto found = find_newest_valid(world, directory);
  load_checkpoint(world, found->path, found->manifest, Device{}, d.state());
}

// Runs an update in each layout, and loads its checkpoint on one rank and in the next layout.
void expect_equal_to_one_rank(const Variant& variant, const std::vector<Layout>& layouts, OptimizerType kind) {
  const std::vector<Layout> all = layouts_for(variant, layouts);
  Whole initial, one;
  run(
      all[0], variant.options, initial, [](Divided&, Communicator&) {}, kind);
  run(
      all[0], variant.options, one, [](Divided& d, Communicator&) { d.step(); }, kind);
  EXPECT_GT(initial.differences(one).size(), initial.size() / 2) << "an update that changes little proves little";
  ASSERT_GT(one.squares().size(), 10u);
  EXPECT_GT(one.squares().back(), 0);
  for (size_t i = 0; i < all.size(); ++i) {
    const Layout& next = all[(i + 1) % all.size()];
    SCOPED_TRACE(variant.name + " at " + all[i].name + ", loaded at " + next.name);
    const TempDir dir;
    Whole many, by_one, by_next;
    run(
        all[i], variant.options, many,
        [&](Divided& d, Communicator& world) {
          d.step();
          save(d, world, dir.path());
        },
        kind);
    EXPECT_THAT(many.differences(one), testing::IsEmpty());
    EXPECT_EQ(many.squares(), one.squares());
    const auto loaded = [&](Divided& d, Communicator& world) { load(d, world, dir.path()); };
    run(all[0], variant.options, by_one, loaded, kind);
    EXPECT_THAT(by_one.differences(one), testing::IsEmpty());
    run(next, variant.options, by_next, loaded, kind);
    EXPECT_THAT(by_next.differences(one), testing::IsEmpty());
  }
}

class DividedVariant : public testing::TestWithParam<Variant> {};
INSTANTIATE_TEST_SUITE_P(All, DividedVariant, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DividedVariant, IsUpdatedSavedAndLoadedAsByOneRank) {
  expect_equal_to_one_rank(GetParam(), layouts(), OptimizerType::adamw);
}

TEST_P(DividedVariant, IsUpdatedByMuonAsByOneRank) {
  Variant variant = GetParam();
  variant.options.cost_of = [](const Parameter& p) { return update_cost(p, OptimizerType::muon); };
  expect_equal_to_one_rank(variant, layouts(), OptimizerType::muon);
}

}  // namespace
}  // namespace birkhoff::test
