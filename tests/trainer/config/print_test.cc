#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "trainer/config/layout_rules.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

std::filesystem::path source_dir() {
  const char* dir = std::getenv("BIRKHOFF_SOURCE_DIR");
  return dir ? dir : ".";
}

// Changes the setting to a value other than its default, so that the test notices if the value is lost.
void change(const Setting& setting) {
  struct Change {
    const Setting& setting;
    void operator()(bool* value) const { *value = !*value; }
    void operator()(int64_t* value) const { *value += *value < setting.limits.max ? 1 : -1; }
    void operator()(double* value) const {
      *value = setting.limits.min + std::min(setting.limits.max - setting.limits.min, 1.0) / 7;
    }
    void operator()(std::string* value) const { *value += " \"a\": #\\\n\t'é"; }
    void operator()(std::vector<int64_t>* value) const {
      const auto least = static_cast<int64_t>(setting.limits.min);
      *value = {least, least + 1, least + 2};
    }
    void operator()(const Choice& choice) const { choice.set((choice.get() + 1) % choice.names.size()); }
    void operator()(const ListSize& list) const { list.set(2); }
  };
  std::visit(Change{setting}, setting.value);
}

TEST(Print, ReadsBackEqual) {
  const LoadedConfig loaded =
      parse_config("run: {name: \"a: b # c\"}\ndata:\n  sources: [{path: x}, {path: y, weight: 0.1}]\n");
  EXPECT_EQ(parse_config(print_config(loaded.config)).config, loaded.config);
  EXPECT_EQ(parse_config(print_config(loaded.config, loaded.origins)).config, loaded.config);
}

TEST(Print, CarriesEverySetting) {
  const Config base =
      parse_config("run: {name: a}\nmodel: {max_positions: 5000}\ndata: {sources: [{path: x, name: y}]}\n").config;
  Config copy = base;
  const size_t count = settings_of(copy).settings().size();
  size_t accepted = 0;
  for (size_t i = 0; i < count; ++i) {
    Config config = base;
    const SettingList list = settings_of(config);
    const Setting& setting = list.settings()[i];
    const std::string path = setting.path;
    if (std::holds_alternative<ListSize>(setting.value)) continue;
    change(setting);
    const auto changes = diff_configs(base, config);
    ASSERT_EQ(changes.size(), 1u) << path;
    EXPECT_EQ(changes[0].path, path);
    EXPECT_NE(digest_config(base), digest_config(config)) << path;
    try {
      EXPECT_EQ(parse_config(print_config(config)).config, config) << path;
      ++accepted;
    } catch (const UserError& e) {  // the value was read, but conflicts with another setting
      EXPECT_THAT(e.what(), HasSubstr(path + " is " + changes[0].after + " (config:")) << path;
    }
  }
  EXPECT_GE(accepted, count * 3 / 4);
}

TEST(Print, NamesTheOriginOfEveryValue) {
  const LoadedConfig loaded = parse_config("run:\n  steps: 5\n", "configs/x.yaml", {"run.seed=2"});
  const std::string text = print_config(loaded.config, loaded.origins);
  EXPECT_THAT(text, AllOf(HasSubstr("  steps: 5"), HasSubstr("# from configs/x.yaml:2\n"), HasSubstr("# from --set\n"),
                          HasSubstr("# from default\n"), HasSubstr("# from derived\n")));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.ends_with(":") || line.find("# from ") != std::string::npos) << line;
  }
}

TEST(Digest, DependsOnEveryValueAndOnNothingElse) {
  const auto parse = [](const char* text) { return digest_config(parse_config(text).config); };
  EXPECT_EQ(parse("run: {steps: 5, seed: 2}\n"), parse("# other text\nrun:\n  seed: 2\n  steps: +5\n"));
  EXPECT_NE(parse("run: {steps: 5}\n"), parse("run: {steps: 6}\n"));
}

TEST(Describe, DocumentsEverySetting) {
  const std::string docs = describe_config();
  Config config;
  const SettingList list = settings_of(config);
  for (const Setting& setting : list.settings()) {
    EXPECT_THAT(docs, HasSubstr("| `" + setting.path.substr(setting.path.rfind('.') + 1) + "` |"));
    EXPECT_THAT(setting.doc, Not(testing::IsEmpty())) << setting.path;
  }
  EXPECT_THAT(docs, AllOf(HasSubstr("| `sources.weight` | `1` |"), HasSubstr("## model.attention\n"),
                          HasSubstr("one of f32, bf16, fp8_block")));
}

TEST(Describe, IsWhatTheDocumentationHolds) {
  std::ifstream file(source_dir() / "docs/config.md");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), describe_config()) << "write it again: birkhoff describe config > docs/config.md";
}

TEST(Resume, AllowsWhatIsFreeAndRefusesTheRest) {
  const Config before = parse_config("run: {name: a, steps: 10}\n").config;
  Config after = before;
  EXPECT_EQ(check_resume(before, after), "");
  after.run.steps = 20;
  after.metrics.prometheus_port = 9100;
  EXPECT_THAT(check_resume(before, after), AllOf(HasSubstr("run.steps: 10 -> 20 (a learning-rate decay"),
                                                 HasSubstr("metrics.prometheus_port: -1 -> 9100")));
  after.model.hidden_size = 256;
  after.data.seed = 5;
  after.data.sources.resize(1);
  EXPECT_THAT([&] { check_resume(before, after); },
              ThrowsMessage<UserError>(AllOf(HasSubstr("model.hidden_size: 512 -> 256"), HasSubstr("data.seed: 1 -> 5"),
                                             HasSubstr("data.sources: 0 elements -> 1 elements"),
                                             Not(HasSubstr("run.steps")))));
}

TEST(Configs, OfTheRepositoryAreValidAndReadBackEqual) {
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_dir() / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    SCOPED_TRACE(entry.path());
    ++count;
    const LoadedConfig loaded = load_config(entry.path());
    const Config& config = loaded.config;
    EXPECT_TRUE(loaded.warnings.empty()) << loaded.warnings[0];
    EXPECT_EQ(parse_config(print_config(config)).config, config);
  }
  EXPECT_GE(count, 4);
}

TEST(Configs, QuickstartShowsEveryPartOfTheModel) {
  const Config c = load_config(source_dir() / "configs/quickstart.yaml").config;
  EXPECT_EQ(c.model.attention.type, AttentionType::mla);
  EXPECT_GE(c.model.moe.num_experts, 8);
  EXPECT_GE(c.model.num_layers, 4);
  EXPECT_EQ(c.model.attention.num_heads % 4, 0);
  EXPECT_EQ(c.batch.global_batch_size % 12, 0);
  EXPECT_EQ(c.model.residual.type, ResidualType::mhc);
  EXPECT_FALSE(c.model.engram.layers.empty());
  EXPECT_EQ(c.model.mtp.depth, 1);
  EXPECT_EQ(c.precision.recipe, Recipe::bf16);
  for (const int64_t ranks : {1, 2, 3, 4}) EXPECT_EQ(check_world(c, ranks), ranks);
}

}  // namespace
}  // namespace birkhoff
