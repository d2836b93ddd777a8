// Which matrices Muon updates, and that the result does not depend on which rank owns them.
#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

#include <gmock/gmock.h>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

constexpr int kSteps = 3;
constexpr double kRate = 0.02;

// Every kind of matrix that a model has: experts with gate and up, keys and values that alternate by head, blocks of
// different sizes.
struct Layer {
  static Parameter declare(const std::string& name, Shape shape, Role role) {
    return {name, shape, role, Init::constant(0), {}, {}, 0};
  }
  Parameter up = declare("up", {5, 10, 4}, Role::experts), kv_b = declare("kv_b", {18, 6}, Role::matrix);
  Parameter kv_a = declare("kv_a", {10, 8}, Role::matrix), plain = declare("plain", {6, 9}, Role::matrix);
  Parameter gain = declare("gain", {11}, Role::gain), wkv = declare("wkv", {12, 5}, Role::matrix);

  Layer() {
    up.division.blocks = {1, 1, {5, 5}};
    kv_b.division.blocks = {0, 3, {4, 2}};
    kv_a.division.blocks = {0, 1, {7, 3}};
    wkv.division.blocks = {0, 1, {4, 4, 4}};
  }
  void visit(ModuleVisitor& v) {
    v.begin_unit("layer");
    for (Parameter* p : {&gain, &up, &kv_b, &kv_a, &plain, &wkv}) v.parameter(*p);
  }
};

// The rows of each matrix, numbered over all experts. Written out, so that the test does not depend on matrices_of().
const std::map<std::string, std::vector<std::vector<int64_t>>>& rows_of_matrices() {
  static const auto range = [](int64_t begin, int64_t end) {
    std::vector<int64_t> rows;
    for (; begin < end; ++begin) rows.push_back(begin);
    return rows;
  };
  static const std::map<std::string, std::vector<std::vector<int64_t>>> rows{
      {"up",
       {range(0, 5), range(5, 10), range(10, 15), range(15, 20), range(20, 25), range(25, 30), range(30, 35),
        range(35, 40), range(40, 45), range(45, 50)}},
      {"kv_b", {{0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15}, {4, 5, 10, 11, 16, 17}}},
      {"kv_a", {range(0, 7), range(7, 10)}},
      {"plain", {range(0, 6)}},
      {"wkv", {range(0, 4), range(4, 8), range(8, 12)}}};
  return rows;
}

OptimizerOptions options() {
  OptimizerOptions o;
  o.type = OptimizerType::muon;
  return o;
}

UpdateStep update(int step) { return {kRate, 0.5, step}; }

std::vector<double> values_of_draw(const Parameter& p, uint64_t seed) {
  const Philox random(seed, key_of(p.name));
  std::vector<double> values(static_cast<size_t>(p.shape.count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return values;
}

using Values = std::map<std::string, std::vector<double>>;

// Rank 0 has the whole gradient and the others have zeros, so that the sum over the ranks has no rounding.
Values train(DeviceKind device, int ranks) {
  std::mutex mutex;
  Values result;
  run_ranks(ranks, [&](Communicator& comm) {
    Stream stream{{device}};
    Layer layer;
    const Mesh mesh(comm, {});
    ParameterStore store(
        {device}, mesh, [&](ModuleVisitor& v) { layer.visit(v); },
        [](const Parameter& p) { return update_cost(p, OptimizerType::muon); });
    DenseOptimizer optimizer({device}, store, options());
    for (const auto& e : store.entries())
      from_doubles(stream, e.parameter->value, values_of_draw(*e.parameter, 1).data());
    for (int step = 1; step <= kSteps; ++step) {
      store.begin_step(stream);
      for (const auto& e : store.entries()) {
        if (comm.rank() > 0) continue;
        const auto seed = static_cast<uint64_t>(1 + step);
        from_doubles(stream, e.parameter->grad, values_of_draw(*e.parameter, seed).data());
      }
      store.start_reduce(stream, 0);
      store.wait_reduced(stream);
      optimizer.step(stream, update(step));
      store.publish(stream);
    }
    const std::lock_guard lock(mutex);
    for (const auto& e : store.entries()) {
      const std::vector<double> values = read_values(stream, e.parameter->value);
      const auto before = result.find(e.parameter->name);
      EXPECT_TRUE(before == result.end() || values == before->second) << e.parameter->name;
      result[e.parameter->name] = values;
    }
  });
  return result;
}

std::vector<double> rows_of(const std::vector<double>& all, const std::vector<int64_t>& rows, int64_t columns) {
  std::vector<double> out;
  for (int64_t row : rows) {
    out.insert(out.end(), all.begin() + row * columns, all.begin() + (row + 1) * columns);
  }
  return out;
}

// Updates one matrix alone, in memory of its own.
std::vector<double> train_alone(DeviceKind device, const Parameter& p, const std::vector<int64_t>& rows) {
  Stream stream{{device}};
  Arena arena({device}), workspace({device});
  const int64_t columns = p.shape.back();
  const Shape shape{static_cast<int64_t>(rows.size()), columns};
  MuonArgs a;
  a.weight = arena.take(DType::f32, shape);
  a.momentum = arena.take(DType::f32, shape);
  a.grad = arena.take(DType::f32, shape);
  fill_zero(stream, a.momentum);
  from_doubles(stream, a.weight, rows_of(values_of_draw(p, 1), rows, columns).data());
  a.hyper = {.learning_rate = kRate,
             .momentum = options().muon.momentum,
             .weight_decay = options().adamw.weight_decay,
             .update_rms = options().muon.rms_scale,
             .grad_scale = 0.5};
  for (int step = 1; step <= kSteps; ++step) {
    from_doubles(stream, a.grad, rows_of(values_of_draw(p, static_cast<uint64_t>(1 + step)), rows, columns).data());
    muon(stream, workspace, a);
  }
  return read_values(stream, a.weight);
}

class MuonMatrices : public testing::TestWithParam<DeviceKind> {};
INSTANTIATE_TEST_SUITE_P(Devices, MuonMatrices, testing::Values(DeviceKind::cpu, DeviceKind::reference));

TEST_P(MuonMatrices, AreUpdatedAsIfEachWereAlone) {
  const Values values = train(GetParam(), 1);
  Layer layer;
  for (const Parameter* p : {&layer.up, &layer.kv_b, &layer.kv_a, &layer.plain, &layer.wkv}) {
    size_t rows = 0;
    for (const std::vector<int64_t>& matrix : rows_of_matrices().at(p->name)) {
      EXPECT_EQ(rows_of(values.at(p->name), matrix, p->shape.back()), train_alone(GetParam(), *p, matrix))
          << p->name << " from row " << matrix[0];
      rows += matrix.size();
    }
    EXPECT_EQ(static_cast<int64_t>(rows) * p->shape.back(), p->shape.count()) << p->name;
  }
}

TEST_P(MuonMatrices, HaveTheSameUpdateOnAnyNumberOfReplicas) {
  const Values one = train(GetParam(), 1);
  for (int ranks : {2, 3, 5}) EXPECT_EQ(train(GetParam(), ranks), one) << ranks;
}

TEST(MuonOwners, DivideTheExpertsOfALayerAndNoMatrix) {
  std::vector<int64_t> elements_of_up(5, 0);
  run_ranks(5, [&](Communicator& comm) {
    Layer layer;
    const Mesh mesh(comm, {});
    ParameterStore store(
        {}, mesh, [&](ModuleVisitor& v) { layer.visit(v); },
        [](const Parameter& p) { return update_cost(p, OptimizerType::muon); });
    for (const auto& o : store.owned()) {
      if (o.parameter->role == Role::gain) continue;
      const int64_t from = o.begin, to = from + o.slice.count(), columns = o.parameter->shape.back();
      for (const std::vector<int64_t>& matrix : rows_of_matrices().at(o.parameter->name)) {
        const int64_t begin = matrix.front() * columns, end = (matrix.back() + 1) * columns;
        EXPECT_TRUE(end <= from || begin >= to || (begin >= from && end <= to)) << o.parameter->name;
      }
      if (o.parameter == &layer.up) elements_of_up[static_cast<size_t>(comm.rank())] += o.slice.count();
    }
  });
  EXPECT_GE(std::count_if(elements_of_up.begin(), elements_of_up.end(), [](int64_t n) { return n > 0; }), 2);
  EXPECT_EQ(std::accumulate(elements_of_up.begin(), elements_of_up.end(), int64_t{0}), 200);
}

TEST(MuonTable, ListsTheMatricesOfEveryParameter) {
  run_ranks(1, [&](Communicator& comm) {
    Layer layer;
    const Mesh mesh(comm, {});
    ParameterStore store(
        {}, mesh, [&](ModuleVisitor& v) { layer.visit(v); },
        [](const Parameter& p) { return update_cost(p, OptimizerType::muon); });
    const std::string table = optimizer_table({&store, options(), {}, 0});
    for (const char* text : {"10 x [5, 4]", "1 x [12, 6], 1 x [6, 6]", "1 x [7, 8], 1 x [3, 8]", "3 x [4, 5]"}) {
      EXPECT_THAT(table, HasSubstr(text));
    }
    EXPECT_THAT(table, testing::ContainsRegex("gain +\\[11\\] +adamw +none"));
  });
}

// The matrices that the layers of a model declare.
TEST(MuonMatricesOfAModel, AreThoseOfItsEquations) {
  const ModelOptions o = full_options();
  TinyModel tiny({DeviceKind::meta}, o);
  std::map<std::string, std::vector<MatrixPlace>> found;
  for (const auto& e : tiny.model.parameters->entries()) {
    const Role role = e.parameter->role;
    if (role == Role::matrix || role == Role::experts) found[e.parameter->name] = matrices_of(*e.parameter);
  }
  auto shapes = [&](const std::string& name) {
    std::vector<Shape> out;
    for (const MatrixPlace& m : found.at(name)) out.push_back(m.shape());
    return out;
  };
  using Shapes = std::vector<Shape>;
  const AttentionOptions& a = o.decoder.attention;
  const int64_t C = o.decoder.hidden_size, F = o.decoder.ffn.size, E = o.decoder.moe.num_experts, H = a.num_heads;
  const int64_t X = o.decoder.moe.expert_size, S = o.decoder.residual.num_streams();
  EXPECT_EQ(shapes("layers.0.ffn.up.weight"), (Shapes{{F, C}, {F, C}}));
  EXPECT_EQ(shapes("layers.0.ffn.down.weight"), (Shapes{{C, F}}));
  EXPECT_EQ(shapes("layers.1.ffn.experts.up"), Shapes(static_cast<size_t>(2 * E), Shape{X, C}));
  EXPECT_EQ(shapes("layers.1.ffn.experts.down"), Shapes(static_cast<size_t>(E), Shape{C, X}));
  EXPECT_EQ(shapes("layers.0.attention.kv_a.weight"), (Shapes{{a.kv_lora_rank, C}, {a.qk_rope_head_dim, C}}));
  EXPECT_EQ(shapes("layers.0.attention.kv_b.weight"),
            (Shapes{{H * a.qk_nope_head_dim, a.kv_lora_rank}, {H * a.v_head_dim, a.kv_lora_rank}}));
  EXPECT_EQ(shapes("layers.0.attention.q_b.weight"),
            (Shapes{{H * a.qk_nope_head_dim, a.q_lora_rank}, {H * a.qk_rope_head_dim, a.q_lora_rank}}));
  const int64_t rows = o.decoder.engram.rows_per_token() * o.decoder.engram.head_dim;
  EXPECT_EQ(shapes("layers.1.engram.wkv.weight"), Shapes(static_cast<size_t>(S + 1), Shape{C, rows}));
}

}  // namespace
}  // namespace birkhoff::test
