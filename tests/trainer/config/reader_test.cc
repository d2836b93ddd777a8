#include "trainer/config/reader.h"

#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "kernels/core/error.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// The error message of parse_config, or "" if it accepts the config.
std::string refusal(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    parse_config(yaml, "x.yaml", overrides);
    return "";
  } catch (const UserError& e) {
    return e.what();
  }
}

struct BadConfig {
  const char* name;
  const char* yaml;
  const char* message;  // a part of it
};

void PrintTo(const BadConfig& bad, std::ostream* out) { *out << bad.name; }

class BrokenYaml : public testing::TestWithParam<BadConfig> {};

TEST_P(BrokenYaml, IsRefusedWithLineGivenAndExpected) {
  EXPECT_THAT(refusal(GetParam().yaml), AllOf(StartsWith("x.yaml has 1 mistake:"), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Reader, BrokenYaml,
    testing::Values(
        BadConfig{"UnknownKey", "run:\n  stepz: 3\n", "x.yaml:2: run.stepz is not a setting; did you mean run.steps?"},
        BadConfig{"UnknownKeyOfOtherSection", "run:\n  learning_rate: 3\n", "did you mean optimizer.learning_rate?"},
        BadConfig{"UnknownSection", "optimzer:\n  eps: 1\n",
                  "x.yaml:1: optimzer is not a setting; did you mean optimizer?"},
        BadConfig{"UnknownAndFar", "zzzzzzzz: 1\n", "see birkhoff describe config"},
        BadConfig{"MegatronName", "parallel:\n  tensor_model_parallel_size: 1\n", "here it is called parallel.tp"},
        BadConfig{"MegatronFlag", "--global-batch-sizes: 1\n", "is not a setting"},
        BadConfig{"MegatronFlagOnTop", "--lr-decay-style: cosine\n", "here it is called optimizer.schedule"},
        BadConfig{"DuplicateKey", "run:\n  steps: 1\n  steps: 2\n",
                  "x.yaml:3: run.steps is given twice, first on line 2"},
        BadConfig{"DuplicateSection", "run:\n  steps: 1\nrun:\n  seed: 2\n", "x.yaml:3: run is given twice"},
        BadConfig{"WordForNumber", "run:\n  steps: many\n", "x.yaml:2: run.steps is 'many', expected a whole number"},
        BadConfig{"NumberWithSuffix", "optimizer:\n  warmup_steps: 1k\n", "optimizer.warmup_steps is '1k'"},
        BadConfig{"NumberAsString", "optimizer:\n  eps: \"1e-8\"\n",
                  "is the text \"1e-8\", expected a number in [0, 1]; remove the quotes"},
        BadConfig{"FloatForWhole", "run:\n  steps: 1.5\n", "run.steps is '1.5', expected a whole number"},
        BadConfig{"ExponentForWhole", "run:\n  steps: 1e3\n",
                  "run.steps is '1e3', expected a whole number of at least 0; write 1000"},
        BadConfig{"TooLargeForAnyInteger", "run:\n  steps: 99999999999999999999\n", "expected a whole number"},
        BadConfig{"TooLarge", "run:\n  steps: 2000000000000\n",
                  "expected a whole number of at least 0 and at most 1000000000000"},
        BadConfig{"TooLargeForAnyReal", "data:\n  sources: [{path: a, weight: 1e400}]\n",
                  "is '1e400', expected a number of at least 0 and at most 1000000000000"},
        BadConfig{"TooLargeWeight", "data:\n  sources: [{path: a, weight: 1e300}]\n",
                  "is '1e300', expected a number of at least 0 and at most 1000000000000"},
        BadConfig{"TooSmallForAnyReal", "optimizer:\n  eps: 1e-400\n", "nearer to 0 than any number of 64 bits"},
        BadConfig{"TagOfANumber", "run:\n  steps: !!int 2\n",
                  "run.steps is '2' with the tag !!int, expected a whole number of at least 0; remove the tag"},
        BadConfig{"TagOfText", "run:\n  name: !mine a\n", "run.name is 'a' with the tag !mine, expected text; remove"},
        BadConfig{"TagOfASection", "run: !mine {steps: 2}\n", "line 1: the tag !mine means nothing here; remove it"},
        BadConfig{"TagOfAList", "data: {sources: !!set [{path: a}]}\n", "the tag !!set means nothing here"},
        BadConfig{"NumberWithTheTagOfText", "run:\n  steps: !!str 2\n", "run.steps is the text \"2\", expected"},
        BadConfig{"ChoiceInOtherCase", "run: {device: CPU}\n", "did you mean cpu?"},
        BadConfig{"NoSpaceBehindTheColon", "run:\n  steps:1\n", "a space must follow each colon"},
        BadConfig{"MergeKey", "run: {<<: {steps: 1}}\n", "merge keys are not read, write the settings out"},
        BadConfig{"ListInList", "model:\n  engram: {layers: [[1]]}\n",
                  "model.engram.layers[0] is a list, expected a whole"},
        BadConfig{"RealInList", "model:\n  engram: {layers: [1.0]}\n",
                  "model.engram.layers[0] is '1.0', expected a whole "
                  "number in [0, 10000]; write 1"},
        BadConfig{"PhaseWithoutLength", "batch: {length_schedule: [{until_step: 5}]}\n", "a length of at least 1"},
        BadConfig{"YarnMscale", "model: {rope: {yarn: {factor: 2, mscale_all_dim: -0.5}}}\n",
                  "at least 0, or -1 for that of mscale"},
        BadConfig{"NotANumber", "optimizer:\n  clip_norm: nan\n", "optimizer.clip_norm is 'nan'"},
        BadConfig{"Infinite", "optimizer:\n  clip_norm: .inf\n",
                  "optimizer.clip_norm is '.inf', expected a number in "
                  "[0, 1000000000]; it must be finite"},
        BadConfig{"YesForTrue", "model:\n  tie_embeddings: yes\n", "is 'yes', expected true or false; write true"},
        BadConfig{"OffForFalse", "checkpoint:\n  async: OFF\n", "is 'OFF', expected true or false; write false"},
        BadConfig{"WrongChoice", "precision:\n  recipe: bf61\n",
                  "expected one of f32, bf16, fp8_block; did you mean bf16?"},
        BadConfig{"OutOfRange", "optimizer:\n  learning_rate: 7\n",
                  "optimizer.learning_rate is '7', expected a number in [0, 1]"},
        BadConfig{"Negative", "run:\n  steps: -1\n", "run.steps is '-1', expected a whole number of at least 0"},
        BadConfig{"SectionForValue", "run:\n  steps:\n    a: 1\n", "run.steps is a section, expected a whole number"},
        BadConfig{"ListForValue", "run:\n  name: [a]\n", "run.name is a list, expected text"},
        BadConfig{"ValueForSection", "run: 3\n", "x.yaml:1: run is '3', expected a section: its settings"},
        BadConfig{"ValueForList", "data:\n  sources: here\n",
                  "x.yaml:2: data.sources is 'here', expected a list: one '- ' for each"},
        BadConfig{"ScalarElement", "data:\n  sources:\n    - here\n",
                  "x.yaml:3: data.sources[0] is 'here', expected 'name: value'"},
        BadConfig{"WordInList", "model:\n  engram:\n    layers: [1, x]\n",
                  "model.engram.layers[1] is 'x', expected a whole number in [0, 10000]"},
        BadConfig{"NoValue", "run:\n  steps:\n", "run.steps has no value, expected a whole number"},
        BadConfig{"Empty", "", "the file is empty"}, BadConfig{"OnlyComments", "# nothing\n", "the file is empty"},
        BadConfig{"List", "- run\n", "expected sections"}, BadConfig{"Word", "run", "expected sections"},
        BadConfig{"Tab", "run:\n\tsteps: 1\n", "line 2: indented by a tab"},
        BadConfig{"TabAfterSpaces", "run:\n  \tsteps: 1\n", "line 2: indented by a tab"},
        BadConfig{"Unclosed", "model:\n  engram:\n    layers: [1, 2\n", "line"},
        BadConfig{"BadIndentation", "run:\n  steps: 1\n   seed: 2\n", "line 3"},
        BadConfig{"OpenQuote", "run:\n  name: \"abc\n  steps: 3\n", "a quote that was opened is never closed"},
        BadConfig{"OpenQuoteBeforeSpaces", "run:\n  name: 'abc\n  ", "a quote that was opened is never closed"},
        BadConfig{"EmptyName", "\"\": 2\n", "x.yaml:1: a name is empty, expected that of a setting"},
        BadConfig{"EmptyNameOfASection", "\"\":\n  run:\n    steps: 1\n", "x.yaml:1: a name is empty"},
        BadConfig{"EmptyNameInASection", "run:\n  \"\": 1\n",
                  "x.yaml:2: a name is empty, expected that of a setting in run"},
        BadConfig{"ByteZero", "run:\n  dir: \"a\\0b\"\n",
                  "run.dir is the text \"a\\x00b\", expected text without a byte 0"},
        BadConfig{"ControlCharacter",
                  "run:\n  name: a\x01"
                  "b\n",
                  "line 2: holds the byte 0x01, but a config is text; write such a character as \"\\x01\""},
        BadConfig{"NoBreakSpace", "run:\n  steps:\u00a05\n",
                  "run is 'steps:\\u00a05', expected a section: its settings"},
        BadConfig{"NoBreakSpaceInNumber", "run:\n  steps: 5\u00a0\n",
                  "run.steps is '5\\u00a0', expected a whole number"},
        BadConfig{"UnseenCharacterInName", "run:\n  st\u200beps: 5\n", "run.st\\u200beps is not a setting"},
        BadConfig{"NoAnchor", "eval:\n  data: *.jsonl\n",
                  "x.yaml: line 2: a value that begins with '*' refers to an anchor"},
        BadConfig{"ColonInText", "run:\n  name: a: b\n", "a text that holds ': ' must be quoted"},
        BadConfig{"Toml", "[run]\nsteps = 3\n", "x.yaml: line 2: a second document begins here"},
        BadConfig{"TwoDocuments", "run:\n  steps: 1\n---\nrun:\n  steps: 2\n", "a second document"},
        BadConfig{"UnknownAlias", "run:\n  steps: *n\n", "line 2"},
        BadConfig{"KeyIsAList", "? [a]\n: 1\n", "a key must be a name"},
        BadConfig{"MhaWithFewerKeyHeads", "model:\n  attention:\n    num_kv_heads: 2\n",
                  "x.yaml:3: model.attention.type is mha (default), model.attention.num_heads is 8 (default), "
                  "model.attention.num_kv_heads is 2 (x.yaml:3): mha has as many"},
        BadConfig{"GqaNotDividing", "model:\n  attention: {type: gqa, num_heads: 8, num_kv_heads: 3}\n",
                  "must be a multiple of num_kv_heads"},
        BadConfig{"HeadsNotDividing", "model:\n  hidden_size: 100\n  attention: {num_heads: 7}\n",
                  "hidden_size must be a multiple of num_heads"},
        BadConfig{"MlaLearned", "model:\n  position: learned\n  attention: {type: mla}\n",
                  "set model.position to rope"},
        BadConfig{"MlaWithoutKeys", "model:\n  attention: {type: mla, qk_nope_head_dim: 0, qk_rope_head_dim: 0}\n",
                  "keys need a width"},
        BadConfig{"MlaWithBias", "model:\n  attention: {type: mla, bias: true}\n",
                  "model.attention.bias is true (x.yaml:2), model.attention.type is mla (x.yaml:2): mla has no biases"},
        BadConfig{"RopeOdd", "model:\n  rope: {dims: 3}\n", "an even number"},
        BadConfig{"RopeTooWide", "model:\n  rope: {dims: 66}\n", "rope.dims exceeds the width of a head"},
        BadConfig{"MlaRopeDims", "model:\n  attention: {type: mla}\n  rope: {dims: 32}\n", "leave rope.dims out"},
        BadConfig{"YarnBetas", "model:\n  rope: {yarn: {factor: 2, beta_fast: 1}}\n",
                  "beta_fast must be above beta_slow"},
        BadConfig{"TooFewPositions", "model: {position: learned, max_positions: 10}\n", "every position"},
        BadConfig{"ClampOfGelu", "model:\n  ffn: {activation: gelu, clamp: 10}\n", "only swiglu has a clamp"},
        BadConfig{"GeluExperts", "model:\n  ffn: {activation: gelu}\n  moe: {num_experts: 4}\n", "experts are swiglu"},
        BadConfig{"TopKOverExperts", "model:\n  moe: {num_experts: 4, top_k: 5}\n", "no more experts than there are"},
        BadConfig{"TooManyDense", "model:\n  moe: {num_experts: 4, first_dense_layers: 9}\n", "no more dense layers"},
        BadConfig{"UnequalGroups", "model:\n  moe: {num_experts: 8, num_groups: 3}\n", "groups must be of equal size"},
        BadConfig{"TopGroups", "model:\n  moe: {num_experts: 8, num_groups: 2, top_groups: 3}\n",
                  "no more groups are kept"},
        BadConfig{"GroupsOfOne", "model:\n  moe: {num_experts: 8, num_groups: 8, top_groups: 4}\n",
                  "at least two each"},
        BadConfig{"TopKOverKeptGroups", "model:\n  moe: {num_experts: 8, num_groups: 4, top_k: 3}\n",
                  "the kept groups hold 2 experts"},
        BadConfig{"HeadsTooWide",
                  "model:\n  attention:\n    num_heads: 65536\n    num_kv_heads: 65536\n    head_dim: 65536\n",
                  "all heads together are at most 2^31 - 1 wide"},
        BadConfig{"TooManyParameters",
                  "model:\n  hidden_size: 1000000\n  num_layers: 10000\n  moe:\n    num_experts: 65536\n    "
                  "expert_size: 10000000\n",
                  "more than 1e15 parameters"},
        BadConfig{"TooManyTokens",
                  "batch:\n  micro_batch_size: 1000000\n  global_batch_size: 1000000\n  sequence_length: 1000000\n",
                  "at most 2^26 tokens"},
        BadConfig{"TooManyRows",
                  "batch:\n  micro_batch_size: 1\n  sequence_length: 60000000\nmodel:\n  num_layers: 4\n  engram:\n    "
                  "layers: [1]\n    num_heads: 8\n    orders: [2, 3]\n",
                  "look up at most 2^28 rows"},
        BadConfig{
            "TooManyLatents",
            "model:\n  hidden_size: 1\n  num_layers: 200\n  attention: {type: mla, num_heads: 16384, q_lora_rank: "
            "1000000, qk_nope_head_dim: 65536, qk_rope_head_dim: 65534, v_head_dim: 1}\n",
            "more than 1e15 parameters"},
        BadConfig{"TablesTooLarge",
                  "model:\n  num_layers: 12\n  engram: {layers: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], rows_per_head: "
                  "100000000, num_heads: 8, head_dim: "
                  "65536}\n",
                  "more than 1e15 parameters, tables included"},
        BadConfig{"TooManyActivations",
                  "batch:\n  sequence_length: 40000000\nmodel:\n  hidden_size: 1000000\n  num_layers: 10000\n  "
                  "attention: {num_heads: 1, head_dim: 2}\n  ffn: {size: 1}\n  residual: {type: mhc, streams: 8}\n",
                  "more than 1e15 activations"},
        BadConfig{
            "MuonInBf16",
            "precision:\n  moments: bf16\noptimizer:\n  type: muon\n  beta2: 0.95\n  muon:\n    momentum: 0.9999\n",
            "optimizer.muon.momentum"},
        BadConfig{"RecomputeNoStreams", "model:\n  recompute: mhc\n", "needs residual type mhc"},
        BadConfig{"RecomputeNoGroups", "model:\n  recompute: block\n  recompute_layers: 2\n",
                  "only recompute: mhc has groups"},
        BadConfig{"RecomputeGroupTooLarge",
                  "model:\n  num_layers: 4\n  residual: {type: mhc}\n  recompute: mhc\n  recompute_layers: 5\n",
                  "no more blocks than the model"},
        BadConfig{"MtpTooDeep", "model:\n  mtp: {depth: 4}\nbatch: {sequence_length: 4}\n", "reach beyond"},
        BadConfig{"EngramBlock", "model:\n  engram: {layers: [8]}\n", "block 8 does not exist"},
        BadConfig{"EngramTwice", "model:\n  engram: {layers: [1, 1]}\n", "ascending order, each once"},
        BadConfig{"EngramRows", "model:\n  engram: {layers: [1], rows_per_head: 1000000000}\n", "fewer than 2^31 rows"},
        BadConfig{"EngramNoOrders", "model:\n  engram: {layers: [1], orders: []}\n", "at least one"},
        BadConfig{"EngramOrdersFall", "model:\n  engram: {layers: [1], orders: [3, 2]}\n", "orders ascending"},
        BadConfig{"EngramRowsOfOrders", "model:\n  engram: {layers: [1], orders: [2, 3, 4], rows_per_head: [9, 9]}\n",
                  "one number for all orders, or one per order"},
        BadConfig{"EngramNoRows", "model:\n  engram: {layers: [1], rows_per_head: []}\n", "or one per order"},
        BadConfig{"EngramMaxNgram", "model:\n  engram: {max_ngram: 3}\n", "here it is called model.engram.orders"},
        BadConfig{"EngramPad", "model:\n  vocab_size: 5\n  engram: {layers: [1], pad_id: 5}\n",
                  "pad_id must be a token"},
        BadConfig{"PipelineParallel", "parallel: {pp: 2}\n", "not available yet"},
        BadConfig{"ContextParallel", "parallel: {cp: 2}\n", "not available yet"},
        BadConfig{"ExpertParallel", "model: {moe: {num_experts: 9}}\nparallel: {ep: 2}\n",
                  "parallel.ep is 2 (x.yaml:2): does not divide model.moe.num_experts 9"},
        BadConfig{"ExpertTensorParallel", "model: {moe: {num_experts: 8, expert_size: 3}}\nparallel: {etp: 2}\n",
                  "parallel.etp is 2 (x.yaml:2): does not divide model.moe.expert_size 3"},
        BadConfig{"EngramParallel", "parallel: {engram: 2}\n", "not available yet"},
        BadConfig{"RateGrows", "optimizer: {learning_rate: 1e-4, min_learning_rate: 1e-3}\n",
                  "no higher than its peak"},
        BadConfig{"PartialMicrobatch", "batch: {micro_batch_size: 5}\n", "whole microbatches"},
        BadConfig{"RampShrinks", "batch: {ramp: {initial_size: 24, increment: 1, steps: 3}}\n", "the batch grows"},
        BadConfig{"RampMisses", "batch: {ramp: {initial_size: 2, increment: 4, steps: 3}}\n",
                  "from the first size to the last"},
        BadConfig{"RampNoSteps", "batch: {ramp: {initial_size: 4, increment: 4}}\n", "at least one step"},
        BadConfig{"RampPartial", "batch: {micro_batch_size: 4, ramp: {initial_size: 2, increment: 2, steps: 3}}\n",
                  "whole microbatches"},
        BadConfig{"PhasesUnordered",
                  "batch:\n  length_schedule:\n    - {until_step: 9, sequence_length: 8}\n    - {until_step: 9, "
                  "sequence_length: 8}\n",
                  "x.yaml:4: batch.length_schedule[1].until_step is 9"},
        BadConfig{"PhaseTooLong", "batch:\n  length_schedule: [{until_step: 9, sequence_length: 2048}]\n",
                  "at most as long"},
        BadConfig{
            "PhaseShorterThanMtp",
            "model: {mtp: {depth: 3}}\nbatch:\n  length_schedule: [{until_step: 9, sequence_length: 3}]\n",
            "batch.length_schedule[0].sequence_length is 3 (x.yaml:3), model.mtp.depth is 3 (x.yaml:1): a sequence "
            "must reach beyond"},
        BadConfig{
            "MomentThatCannotDecay", "precision: {moments: bf16}\noptimizer: {beta2: 0.999}\n",
            "optimizer.beta2 is 0.999 (x.yaml:2), precision.moments is bf16 (x.yaml:1): a moment in bf16 decays by "
            "at most"},
        BadConfig{"MomentumOfTablesThatCannotDecay",
                  "precision: {moments: bf16}\noptimizer: {engram: {beta: 0.999}}\nmodel: {engram: {layers: [1]}}\n",
                  "optimizer.engram.beta is 0.999"},
        BadConfig{"NoRoomForTheDecay",
                  "run: {steps: 10}\noptimizer: {schedule: cosine, warmup_steps: 8, "
                  "constant_steps: 3}\n",
                  "optimizer.warmup_steps is 8 (x.yaml:2), optimizer.constant_steps is 3 (x.yaml:2), run.steps is 10 "
                  "(x.yaml:1): the run ends before the decay"},
        BadConfig{"DottedKeyTwice", "run.steps: 2\nrun: {steps: 1}\n",
                  "x.yaml:2: run.steps is given twice, first on line 1; keep one"},
        BadConfig{"DottedListTwice", "data.sources: [{path: a}]\ndata: {sources: [{path: b}]}\n",
                  "x.yaml:2: data.sources is given twice, first on line 1"},
        BadConfig{"WeightZero", "data:\n  sources: [{path: a, weight: 0}]\n", "a weight above 0"},
        BadConfig{"WeightNegative", "data:\n  sources: [{path: a, weight: -1}]\n", "data.sources[0].weight is '-1'"},
        BadConfig{"WeightNan", "data:\n  sources: [{path: a, weight: .nan}]\n", "data.sources[0].weight is '.nan'"},
        BadConfig{"SourceWithoutPath", "data:\n  sources: [{weight: 1}]\n", "needs a folder"},
        BadConfig{"SameName", "data:\n  sources: [{path: a, name: s}, {path: b, name: s}]\n",
                  "another source has this name"},
        BadConfig{"UnknownInElement", "data:\n  sources:\n    - pth: a\n      path: b\n",
                  "x.yaml:3: data.sources[0].pth is not a setting; did you mean data.sources[0].path?"}),
    [](const auto& instance) { return instance.param.name; });

TEST(Reader, DistinguishesATooLargeNumberFromOneTooNearToZero) {
  EXPECT_THAT(refusal("model: {norm_eps: 1e400}"),
              AllOf(HasSubstr("model.norm_eps is '1e400', expected a number in [0, 0.1]"), Not(HasSubstr("nearer"))));
}

// yaml-cpp reads a zero byte as a backslash, so without a check this name would be "x", a line end and "foo".
TEST(Reader, TakesNoByteZeroForABackslash) {
  using std::string_literals::operator""s;
  EXPECT_THAT(refusal("run:\n  name: x\0nfoo\n"s), HasSubstr("line 2: holds the byte 0x00, but a config is text"));
  EXPECT_THAT(refusal("run:\n  name: x\n", {"run.name=a\x1b"}), HasSubstr("holds the byte 0x1b"));
  EXPECT_EQ(parse_config("r\0u\0n\0:\0 \0{\0s\0t\0e\0p\0s\0:\0 \0"
                         "5\0}\0"s)
                .config.run.steps,
            5);
}

TEST(Reader, ReportsAllMistakesAtOnce) {
  const std::string message = refusal(
      "optimizer:\n  learnig_rate: 1e-3\n  learning_rate: 7\n  warmup_steps: 1k\nmodel:\n  moe: {num_experts: 4, "
      "top_k: 5}\n",
      {"run.steps=abc", "nonsense", "=1"});
  EXPECT_THAT(
      message,
      AllOf(StartsWith("x.yaml has 7 mistakes:"), HasSubstr("x.yaml:2: optimizer.learnig_rate is not a setting"),
            HasSubstr("x.yaml:3: optimizer.learning_rate is '7'"), HasSubstr("x.yaml:4: optimizer.warmup_steps")));
  EXPECT_THAT(message,
              AllOf(HasSubstr("--set run.steps=abc: run.steps is 'abc'"),
                    HasSubstr("--set nonsense: expected section.name=value"), HasSubstr("model.moe.top_k is 5")));
}

// The advice for an option differs from the advice for a line of the file.
TEST(Reader, SaysWhatToWriteForAnOption) {
  const std::pair<const char*, const char*> advice[] = {
      {"eval.data=",
       "eval.data has no value, expected text; leave the option out for the default, or write "
       "'eval.data=\"\"' for the empty text"},
      {"run.steps=",
       "run.steps has no value, expected a whole number of at least 0; leave the option out for the default"},
      {"data.sources=", "data.sources has no value, expected a list: [{name: value}], or [] for none"},
      {"run=5", "run is '5', expected one of its settings, such as --set run.name=..."},
      {"run.name=it's: a", "run.name is a section, expected text; quote it: 'run.name=\"...\"'"},
      {"run.name=[a", "if the value is text, quote it: 'run.name=\"...\"'"},
      {"data.sources[0].path=x",
       "data.sources has 0 elements, counted from 0; give them all: 'data.sources=[{name: value}]'"},
      {" =3", "expected section.name=value"}};
  for (const auto& [option, text] : advice) EXPECT_THAT(refusal("run: {steps: 2}\n", {option}), HasSubstr(text));
  EXPECT_EQ(parse_config("run:\n", "x.yaml", {" run.steps = 3"}).config.run.steps, 3);
  EXPECT_EQ(parse_config("run:\n", "x.yaml", {"eval.data=\"\""}).config.eval.data, "");
}

TEST(Reader, AcceptsTagsThatAgreeWithTheirValue) {
  const Config c = parse_config("run: !!map {name: !!str 5}\nmodel: {engram: {layers: !!seq [1]}}\n").config;
  EXPECT_EQ(c.run.name, "5");
  EXPECT_EQ(c.model.engram.layers, (std::vector<int64_t>{1}));
}

// Older configs have only mscale, which then corrected nothing but the softmax scale. They must keep their meaning.
TEST(Reader, TakesOneMscaleForBoth) {
  const std::string yaml = "model: {rope: {yarn: {factor: 40, mscale: 0.5}}}\n";
  const LoadedConfig one = parse_config(yaml);
  EXPECT_EQ(one.config.model.rope.yarn.mscale_all_dim, 0.5);
  EXPECT_EQ(one.origins.at("model.rope.yarn.mscale_all_dim"), "derived");
  const Config both = parse_config("model: {rope: {yarn: {factor: 40, mscale: 0.5, mscale_all_dim: 0.5}}}\n").config;
  EXPECT_EQ(check_resume(one.config, both), "");
  EXPECT_THROW(check_resume(one.config, parse_config(yaml, "x", {"model.rope.yarn.mscale_all_dim=1"}).config),
               UserError);
}

TEST(Reader, LimitsTheSourcesToWhatACursorHolds) {
  std::string sources;
  for (int i = 0; i < 17; ++i) sources += concat(i ? ", " : "", "{path: p", i, "}");
  EXPECT_THAT(refusal("data: {sources: [" + sources + "]}\n"),
              HasSubstr("data.sources is 17 elements (x.yaml:1): at most 16 sources"));
}

TEST(Reader, AsksForDataWhereItIsNeededAndTellsItWithAllElse) {
  const std::string yaml = "optimizer: {learning_rate: 7}\neval: {interval: 5}\n";
  auto message = [&](ConfigUse use) {
    try {
      parse_config(yaml, "x.yaml", {}, use);
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(message(ConfigUse::description), StartsWith("x.yaml has 1 mistake:"));
  EXPECT_THAT(message(ConfigUse::training),
              AllOf(StartsWith("x.yaml has 4 mistakes:"), HasSubstr("data.tokenizer is"), HasSubstr("data.sources is"),
                    HasSubstr("learning_rate is '7'"),
                    HasSubstr("x.yaml:2: eval.interval is 5 (x.yaml:2), eval.data is \"\" "
                              "(default): an evaluation needs a dataset")));
  EXPECT_THAT(message(ConfigUse::evaluation),
              AllOf(StartsWith("x.yaml has 3 mistakes:"), HasSubstr("eval.data is"), HasSubstr("data.tokenizer is")));
}

TEST(Reader, AsksForNoDataOfAFileItCannotRead) {
  const auto message = [](const std::string& yaml) {
    try {
      parse_config(yaml, "x.yaml", {}, ConfigUse::training);
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(message("run:\n\tsteps: 1\n"), StartsWith("x.yaml has 1 mistake:"));
  EXPECT_THAT(message("data: {sources: here, tokenizer: t}\n"), StartsWith("x.yaml has 1 mistake:"));
}

TEST(Reader, WarnsOfSettingsThatNothingReads) {
  const auto warnings = [](const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    return parse_config(yaml, "x.yaml", overrides).warnings;
  };
  EXPECT_THAT(
      warnings("model:\n  residual: {type: hc, streams: 2, alpha_init: 1, phi_std: 1, eps: 0.1}\n"),
      testing::ElementsAre(
          StartsWith("x.yaml:2: model.residual.eps has no effect: model.residual.type is hc, which normalizes nothing"),
          StartsWith(
              "x.yaml:2: model.residual.phi_std has no effect: model.residual.type is hc, which normalizes nothing")));
  EXPECT_THAT(warnings("model: {residual: {type: mhc, eps: 0.1, phi_std: 1, sinkhorn_iterations: 3}}\n"),
              testing::IsEmpty());
  EXPECT_THAT(warnings("model: {moe: {num_experts: 4, top_k: 2}}\n", {"model.moe.num_experts=0"}),
              testing::ElementsAre("x.yaml:1: model.moe.top_k has no effect: model.moe.num_experts is 0"));
  EXPECT_THAT(warnings("parallel: {dispatch: grouped}\n"),
              testing::ElementsAre("x.yaml:1: parallel.dispatch has no effect: parallel.ep is 1"));
  EXPECT_THAT(warnings("run: {seed: 1}\n", {"optimizer.muon.momentum=0.5"}),
              testing::ElementsAre("--set: optimizer.muon.momentum has no effect: optimizer.type is not muon"));
  EXPECT_THAT(
      warnings("model: {engram: {layers: [1]}}\noptimizer: {engram: {update: sparse_adamw, tau: 0.1}}\n"),
      testing::ElementsAre("x.yaml:2: optimizer.engram.tau has no effect: optimizer.engram.update is not balanced"));
  EXPECT_THAT(
      warnings("data:\n  sources: [{path: a}, {path: b, weight: 1e-300}]\n"),
      testing::ElementsAre(StartsWith("x.yaml:2: data.sources[1].weight has no effect: it is so small a share")));
  EXPECT_THAT(warnings("data: {sources: [{path: a}, {path: b, weight: 1e-18}]}\n"), testing::IsEmpty());
  EXPECT_THAT(warnings("run: {seed: 1}\n"), testing::IsEmpty()) << "defaults are nobody's mistake";
}

TEST(Resume, AllowsAnotherMixtureOnlyWhereItIsAskedFor) {
  const Config before = parse_config("data: {sources: [{path: a}]}\n").config;
  const std::string changed = "data: {seed: 2, sources: [{path: a, weight: 2}, {path: b}]";
  EXPECT_THAT([&] { check_resume(before, parse_config(changed + "}\n").config); },
              testing::ThrowsMessage<UserError>(AllOf(HasSubstr("data.seed: 1 -> 2"), HasSubstr("data.sources: 1"),
                                                      HasSubstr("data.sources[0].weight: 1 -> 2"))));
  EXPECT_THAT(check_resume(before, parse_config(changed + ", mixture_change: restart}\n").config),
              AllOf(HasSubstr("data.seed: 1 -> 2 (the mixture begins anew here)"),
                    HasSubstr("data.sources: 1 elements -> 2 elements (the mixture begins anew here)")));
}

TEST(Reader, DoesNotRepeatAMistakeAsAConflict) {
  EXPECT_THAT(refusal("model:\n  moe: {num_experts: 1, top_k: x}\n"), StartsWith("x.yaml has 1 mistake:"));
}

TEST(Reader, RefusesADocumentThatUnfoldsBeyondTheLimit) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    std::string items = concat("*a", i - 1);
    for (int j = 1; j < 10; ++j) items += concat(", *a", i - 1);
    bomb += concat("a", i, ": &a", i, " [", items, "]\n");
  }
  EXPECT_THAT(refusal(bomb), HasSubstr("unfolds to more than 20000 values"));
}

TEST(Reader, RefusesDeepNestingAndHugeFiles) {
  EXPECT_THAT(refusal("run: " + std::string(100000, '[')), HasSubstr("x.yaml has 1 mistake"));
  EXPECT_THAT(refusal("# " + std::string(2 << 20, 'x')), HasSubstr("expected a config of at most"));
}

// Damaged files end in a list of mistakes, whatever the damage.
TEST(Reader, SurvivesArbitraryDamage) {
  const std::string good =
      "run:\n  name: \"a b\"\n  steps: &n 100\n  seed: *n\nmodel:\n  engram: {layers: [1, 2]}\n"
      "data:\n  sources:\n    - path: x\n      weight: 1e-1\n  # end\nbatch:\n  ramp: {steps: 3}\n";
  const std::string bytes = "\t\n :-[]{}&*!|>'\"%@`#,?\\\xff\0a1~<";
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    for (uint32_t edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t at = random() % bad.size();
      if (random() % 2) {
        bad[at] = bytes[random() % bytes.size()];
      } else {
        bad.erase(at, random() % 12);
      }
      if (bad.empty()) bad = good;
    }
    const std::string message = refusal(bad);
    refused += !message.empty();
    EXPECT_THAT(message, testing::AnyOf("", StartsWith("x.yaml has ")));
  }
  EXPECT_GT(refused, 1000);
}

TEST(Reader, ReadsAliases) {
  const Config c =
      parse_config("data:\n  sources:\n    - &s {path: a, weight: 2}\nrun:\n  steps: &n 7\n  seed: *n\n").config;
  EXPECT_EQ(c.run.steps, 7);
  EXPECT_EQ(c.run.seed, 7);
}

TEST(Reader, ReadsEveryFormOfNumber) {
  const Config c =
      parse_config("optimizer: {learning_rate: 1e-4, weight_decay: .1, clip_norm: +2, eps: 1E-8}\n").config;
  EXPECT_EQ(c.optimizer.schedule.learning_rate, 1e-4);
  EXPECT_EQ(c.optimizer.adamw.weight_decay, 0.1);
  EXPECT_EQ(c.optimizer.clip_norm, 2);
  EXPECT_EQ(c.optimizer.adamw.eps, 1e-8);
}

TEST(Reader, ReadsOneNumberAsAListOfOne) {
  const Config c = parse_config("model:\n  engram: {layers: 1, orders: [2, 4], rows_per_head: [100, 200]}\n").config;
  EXPECT_EQ(c.model.engram.layers, std::vector<int64_t>{1});
  EXPECT_EQ(c.model.engram.rows_per_head, (std::vector<int64_t>{100, 200}));
  EXPECT_EQ(c.model.engram.conv_dilation, 4);
  EXPECT_EQ(parse_config("model: {engram: {rows_per_head: 7}}\n").config.model.engram.rows_per_head,
            std::vector<int64_t>{7});
  EXPECT_THAT(refusal("model: {engram: {rows_per_head: x}}\n"), HasSubstr("is 'x', expected a list of whole numbers"));
}

TEST(Reader, LetsTheLastOverrideWinAndTracksOrigins) {
  const LoadedConfig loaded =
      parse_config("run:\n  steps: 5\nmodel:\n  engram:\n    layers: [1]\n", "x.yaml",
                   {"run.steps=6", "run.steps=7", "data.sources=[{path: a}, {path: b}]", "data.sources[1].weight=3"});
  EXPECT_EQ(loaded.config.run.steps, 7);
  EXPECT_EQ(loaded.config.data.sources.size(), 2u);
  EXPECT_EQ(loaded.config.data.sources[1].weight, 3);
  EXPECT_EQ(loaded.origins.at("run.steps"), "--set");
  EXPECT_EQ(loaded.origins.at("model.engram.layers"), "x.yaml:5");
  EXPECT_EQ(loaded.origins.at("run.seed"), "default");
  EXPECT_EQ(loaded.origins.at("run.dir"), "derived");
  EXPECT_EQ(loaded.origins.at("data.sources[0].weight"), "default");
}

TEST(Reader, ReportsAMistakeOfTheFileEvenIfAnOverrideReplacesTheValue) {
  EXPECT_THAT(refusal("run:\n  steps: x\n", {"run.steps=3"}), HasSubstr("run.steps is 'x'"));
}

TEST(Reader, FillsInDerivedSettings) {
  const Config c = parse_config("run: {name: a}\nmodel: {hidden_size: 96, attention: {num_heads: 4}}\n").config;
  EXPECT_EQ(c.run.dir, "runs/a");
  EXPECT_EQ(c.checkpoint.dir, "runs/a/checkpoints");
  EXPECT_EQ(c.model.attention.head_dim, 24);
  EXPECT_EQ(c.model.attention.num_kv_heads, 4);
  EXPECT_EQ(c.model.rope.dims, 24);
}

TEST(Reader, ShortensLongTextsInItsMessages) {
  EXPECT_LT(refusal("run:\n  steps: " + std::string(100000, '9') + "\n").size(), 500u);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += concat("k", i, ": 1\n");
  EXPECT_THAT(refusal(many), AllOf(StartsWith("x.yaml has 1000 mistakes:"), testing::EndsWith("\n  and 900 more")));
  EXPECT_LT(refusal("? " + std::string(100000, 'a') + "\n: 1\n").size(), 500u);
}

// The reader appends "#" to the file to detect open quotes. It must not become part of a text at the end of the file.
TEST(Reader, KeepsTheLastLinesOfAText) {
  EXPECT_EQ(parse_config("run:\n  name: |\n    a\n").config.run.name, "a\n");
  EXPECT_EQ(parse_config("run:\n  name: |-\n    a\n\n").config.run.name, "a");
  EXPECT_EQ(parse_config("run:\n  name: |+\n    a\n\n").config.run.name, "a\n\n");
  EXPECT_EQ(parse_config("run:\n  name: a\n  ").config.run.name, "a");
}

// Without the warning, a run would silently create a folder named '~'.
TEST(Reader, WarnsOfWhatNoShellReplaces) {
  const auto warnings = parse_config("run:\n  dir: ~/x\n", "x.yaml", {"eval.data=$HOME/d"}).warnings;
  // checkpoint.dir follows from run.dir, which has a warning already.
  EXPECT_THAT(warnings, testing::UnorderedElementsAre(StartsWith("x.yaml:2: run.dir is taken as it stands, ~/x: "),
                                                      StartsWith("--set: eval.data is taken as it stands, $HOME/d: ")));
}

TEST(Reader, ReportsABlockThatDoesNotExistOnce) {
  EXPECT_THAT(
      refusal("model:\n  num_layers: 8\n  engram:\n    layers: [22, 22]\n"),
      AllOf(StartsWith("x.yaml has 2 mistakes:"), HasSubstr("block 22 does not exist"), HasSubstr("each once")));
}

TEST(Reader, SaysEveryReasonWhyALayoutCannotBe) {
  const std::string yaml = "parallel: {tp: 3, cp: 2}\n";
  EXPECT_THAT(refusal(yaml),
              AllOf(HasSubstr("parallel.cp is 2 (x.yaml:1): this axis is not available yet"),
                    HasSubstr("parallel.tp is 3 (x.yaml:1): does not divide model.attention.num_heads 8"),
                    HasSubstr("does not divide model.ffn.size 1408")));
  // Where the number of ranks will be known, check_layout() says all of it at once.
  EXPECT_EQ(parse_config(yaml, "x.yaml", {}, ConfigUse::layout).config.parallel.tp, 3);
}

TEST(Reader, WarnsThatTheReferenceDeviceKeepsMomentsInF64) {
  const std::vector<std::string> moments = {"precision.moments=bf16"};
  EXPECT_THAT(parse_config("run:\n  device: reference\n", "x.yaml", moments).warnings,
              testing::ElementsAre("--set: precision.moments has no effect: run.device is reference"));
  EXPECT_THAT(parse_config("run:\n  device: cpu\n", "x.yaml", moments).warnings, testing::IsEmpty());
}

// Reading must end whatever the path names: a pipe that nobody writes to, an endless device, a file of many gigabytes.
TEST(Reader, SaysWhyAFileCannotBeRead) {
  const TempDir dir;
  const std::string pipe = (dir / "pipe").string(), large = (dir / "large.yaml").string(),
                    empty = (dir / "empty.yaml").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  write_file(large, "");
  std::filesystem::resize_file(large, int64_t{1} << 40);
  write_file(empty, "");
  const std::pair<std::string, std::string> files[] = {
      {"/nowhere/x.yaml", "cannot read the config: /nowhere/x.yaml: no such file. Give the path of a YAML file"},
      {"", "the config has an empty name"},
      {"/", "/: is a folder, expected a regular file"},
      {pipe, "is a pipe, expected a regular file"},
      {"/dev/zero", "/dev/zero: is a device, expected a regular file"},
      {large, "has 1099511627776 bytes, expected a text file of at most 1048576"},
      {empty, "empty.yaml: the file is empty, expected sections"}};
  for (const auto& [path, message] : files) {
    try {
      load_config(path);
      ADD_FAILURE() << path << " was read";
    } catch (const UserError& e) {
      EXPECT_THAT(e.what(), HasSubstr(message));
    }
  }
}

}  // namespace
}  // namespace birkhoff
