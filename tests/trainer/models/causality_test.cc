// The loss of a token depends neither on later tokens nor on other documents.
#include <gtest/gtest.h>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/step/device_batch.h"
#include "trainer/step/runner.h"

namespace birkhoff::test {
namespace {

// The next-token losses of one microbatch on the reference device, with the given Engram rows.
class Losses {
 public:
  explicit Losses(const ModelOptions& options) : model_(Device{DeviceKind::reference}, options) {
    Stream& s = model_.stream;
    set_trained_values(s, model_.model, 7);
  }

  std::vector<double> of(const StepBatch& step) {
    Stream& s = model_.stream;
    const size_t depths = step.local_targets.size();
    Arena rows(s.device);
    std::vector<Tensor> fetched;
    for (size_t i = 0; i < model_.model.tables.size(); ++i) {
      const auto& wanted = step.engram_rows[i];
      fetched.push_back(
          rows.take(DType::f32, {static_cast<int64_t>(wanted.size()), model_.model.tables[i]->row_width()}));
      model_.model.tables[i]->fetch(s, wanted, fetched.back());
    }
    const Tensor nll = rows.take(DType::f32, {static_cast<int64_t>(step.microbatches[0].tokens.size())});
    const Program program = forward_program(1, 1);
    const auto batch = [&](Arena& memory, size_t) {
      const Normalizers ones{std::vector<double>(depths, 1.0), 1};
      BatchView view = upload(s, memory, step.microbatches[0], ones, std::vector<double>(depths, 1.0));
      view.engram_rows = fetched;
      view.nll = nll;
      return view;
    };
    Runner(s, model_.model.decoder->stages(), model_.model.build.num_slots)
        .run({.program = &program, .batch = batch, .mode = Frame::Mode::evaluation});
    return values_of(nll);
  }

 private:
  TinyModel model_;
};

// The weight of a target is the weight of its depth divided by the number of targets in the batch. On the reference
// device it must keep all digits of f64.
TEST(Upload, GivesLossWeightsInTheTypeOfTheDevice) {
  Batch b;
  b.num_sequences = 1;
  b.sequence_length = 3;
  b.tokens = {1, 2, 3};
  b.positions = {0, 1, 2};
  b.document_start = {0, 0, 0};
  b.targets = {{2, 3, -1}, {3, -1, -1}};
  b.loss_weights = {1, 1, 0};
  for (const DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu}) {
    Stream stream{Device{kind}};
    Arena arena(stream.device);
    const BatchView view = upload(stream, arena, b, {{3, 7}, 1}, {1, 0.3});
    const auto rounded = [&](double weight) { return kind == DeviceKind::cpu ? static_cast<float>(weight) : weight; };
    EXPECT_EQ(values_of(view.loss_weights[0]), (std::vector<double>{rounded(1.0 / 3), rounded(1.0 / 3), 0}));
    EXPECT_EQ(values_of(view.loss_weights[1]), (std::vector<double>{rounded(0.3 / 7), 0, 0}));
  }
}

// Attention is told the documents without reading the device.
TEST(Upload, ListsTheDocumentsInHostMemory) {
  Batch b;
  b.num_sequences = 2;
  b.sequence_length = 3;
  b.tokens = b.positions = {0, 1, 0, 0, 1, 2};
  b.document_start = {0, 0, 2, 3, 3, 3};
  b.targets = {std::vector<int32_t>(6, -1)};
  b.loss_weights.assign(6, 0);
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::meta}) {
    Stream stream{Device{kind}};
    Arena arena(stream.device);
    const BatchView view = upload(stream, arena, b, {{1}, 2}, {1});
    EXPECT_EQ(view.document_offsets, (std::vector<int32_t>{0, 2, 3, 6}));
    const AttentionMask mask = view.attention_mask();
    EXPECT_EQ(mask.kind, AttentionMask::Kind::causal_documents);
    EXPECT_EQ(mask.document_offsets.data(), view.document_offsets.data());
    EXPECT_EQ(mask.max_length, 3);
  }
}

TEST(Causality, LossesUpToATokenDoNotSeeWhatFollows) {
  for (const Variant& v : variants()) {
    Losses losses(v.options);
    TinyStep shape;
    shape.sequences = shape.microbatch = 2;
    StepBatch step = tiny_batch(v.options, shape);
    const std::vector<double> before = losses.of(step);
    Batch& b = step.microbatches[0];
    // Changes one token and its Engram rows. The targets stay the same, so that earlier losses are comparable.
    const size_t changed = 7;
    b.tokens[changed] = (b.tokens[changed] + 1) % static_cast<int32_t>(v.options.decoder.vocab_size);
    for (size_t i = 0; i < b.engram_index.size(); ++i) {
      const size_t columns = b.engram_index[i].size() / b.tokens.size();
      for (size_t k = 0; k < columns; ++k) {
        int32_t& row = b.engram_index[i][changed * columns + k];
        row = (row + 1) % static_cast<int32_t>(step.engram_rows[i].size());
      }
    }
    const std::vector<double> after = losses.of(step);
    bool moved = false;
    for (size_t t = 0; t < before.size(); ++t) {
      const bool sees = t >= changed && b.document_start[t] <= static_cast<int32_t>(changed);
      if (!sees) {
        EXPECT_EQ(before[t], after[t]) << v.name << ", token " << t;
      }
      moved |= before[t] != after[t];
    }
    EXPECT_TRUE(moved) << v.name;
  }
}

}  // namespace
}  // namespace birkhoff::test
