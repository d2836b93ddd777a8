#include <gmock/gmock.h>

#include "parallel/comm/threads/thread_world.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::string table(const ModelOptions& model, const TrainerOptions& options) {
  const auto world = make_thread_world(1);
  const Mesh mesh(*world[0], {});
  Model built = make_model({DeviceKind::meta, 0}, mesh, model);
  return Trainer({{DeviceKind::meta, 0}}, mesh, built, options).optimizer_table();
}

TEST(OptimizerTable, GivesEveryTensorItsRuleAndDecay) {
  TrainerOptions options;
  options.optimizer.type = OptimizerType::muon;
  options.optimizer.adamw.weight_decay = 0.25;
  options.optimizer.engram.learning_rate_multiplier = 7;
  options.table_matrix_begins = {{0, 10, 20}};
  ModelOptions model = full_options();
  model.decoder.moe.bias_update_speed = 0.5;
  const std::string text = table(model, options);
  EXPECT_THAT(
      text,
      AllOf(ContainsRegex("embedding\\.weight +\\[19, 12\\] +adamw +0\\.25 +x 1\n"),
            ContainsRegex("layers\\.\\[0-1\\]\\.attention\\.fn +\\[24, 48\\] +muon, 1 x \\[24, 48\\] +0\\.25 +x 1\n"),
            ContainsRegex("layers\\.1\\.ffn\\.experts\\.up +\\[6, 10, 12\\] +muon, 12 x \\[5, 12\\] +0\\.25"),
            ContainsRegex("layers\\.1\\.engram\\.table +\\[29, 3\\] +balanced, 3 matrices +none +x 7\n"),
            ContainsRegex("layers\\.1\\.ffn\\.gate\\.bias +\\[6\\] +sign of the load error +none +step 0\\.5\n")));
  EXPECT_THAT(text, ContainsRegex("mtp\\.\\[0-1\\]\\.norm\\.weight +\\[12\\] +adamw +none"));
}

TEST(OptimizerTable, NamesOtherUpdatesOfTables) {
  TrainerOptions options;
  ModelOptions model = full_options();
  model.decoder.moe.bias_update_speed = 0;
  EXPECT_THAT(table(model, options), HasSubstr("balanced, one matrix"));
  options.optimizer.engram.update = TableUpdate::sparse_adamw;
  EXPECT_THAT(table(model, options), AllOf(HasSubstr("sparse adamw"), Not(HasSubstr("balanced"))));
  EXPECT_THAT(table(model, options), ContainsRegex("gate\\.bias .* off\n")) << "speed 0";
}

// One line may stand for several layers, so the test looks for the part of the name after the number of the layer.
TEST(OptimizerTable, LeavesNoTensorOut) {
  for (const Variant& variant : variants()) {
    const auto world = make_thread_world(1);
    const Mesh mesh(*world[0], {});
    Model built = make_model({DeviceKind::meta, 0}, mesh, variant.options);
    const std::string text = table(variant.options, {});
    for (const auto& e : built.parameters->entries()) {
      const std::string& name = e.parameter->name;
      const size_t dot = name.find('.'), end = name.find('.', dot + 1);
      const bool numbered = end != std::string::npos && std::isdigit(name[dot + 1]);
      EXPECT_THAT(text, HasSubstr(numbered ? name.substr(end) + " " : "  " + name + " ")) << variant.name;
    }
  }
}

}  // namespace
}  // namespace birkhoff::test
