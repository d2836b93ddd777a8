// Runs the whole program and checks what it prints and its exit code.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  int exit_code;
  std::string output;
};

// Runs a command by bash; the output includes standard error.
Result shell(const std::string& command) {
  setenv("COMMAND", command.c_str(), 1);
  std::FILE* pipe = popen("bash -c 'eval \"$COMMAND\"' 2>&1", "r");
  std::string output;
  std::array<char, 4096> part{};
  for (size_t bytes; (bytes = std::fread(part.data(), 1, part.size(), pipe)) > 0;) output.append(part.data(), bytes);
  return {WEXITSTATUS(pclose(pipe)), output};
}

Result program(const std::string& arguments) { return shell(std::string(BIRKHOFF_PROGRAM) + " " + arguments); }

std::string config(const std::string& name) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  return std::string(source ? source : ".") + "/configs/" + name;
}

TEST(Birkhoff, RefusesABadConfigWithAllMistakesAndCodeTwo) {
  const Result result = program("describe config " + config("quickstart.yaml") +
                                " --set run.stepz=1 --set model.moe.top_k=99 --set optimizer.learning_rate=fast");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, AllOf(HasSubstr("has 3 mistakes:"), HasSubstr("did you mean run.steps?"),
                                   HasSubstr("model.moe.top_k is 99"),
                                   HasSubstr("optimizer.learning_rate is 'fast', expected a number in [0, 1]")));
}

TEST(Birkhoff, PrintsTheResolvedConfigWithOrigins) {
  const Result result = program("describe config " + config("bench/gpt_14m.yaml") + " --set run.steps=9");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("  steps: 9 "), HasSubstr("# from --set\n")));
}

// Warnings go to standard error, so that what is printed stays a config.
TEST(Birkhoff, WarnsOfSettingsWithoutEffectWhereItPrintsAConfigOrAModel) {
  const std::string arguments = config("deepseek_v3.yaml") + " --set model.max_positions=4096";
  for (const std::string command : {"describe config ", "describe model "}) {
    const Result result = program(command + arguments + " 2>&1 >/dev/null");
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_THAT(result.output, AllOf(StartsWith("warning: "), HasSubstr("model.max_positions"))) << command;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << "one line: " << result.output;
    EXPECT_EQ(program(command + config("deepseek_v3.yaml") + " 2>&1 >/dev/null").output, "") << command;
  }
}

TEST(Birkhoff, DescribesAModelThatNoMachineHolds) {
  const Result result = program("describe model " + config("deepseek_v3.yaml"));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("671,026,419,200"), HasSubstr("11,610,068,224")));
}

TEST(Birkhoff, DescribesWhatTheRanksOfALayoutHoldAndSend) {
  const std::string test = config("test.yaml") + " --set model.vocab_size=400 ";
  const Result dp3 = program("describe layout " + test + "--layout dp3");
  EXPECT_EQ(dp3.exit_code, 0) << dp3.output;
  EXPECT_THAT(dp3.output, AllOf(StartsWith("layout dp3, 3 ranks\n\nrank      dp\n   0       0\n"),
                                HasSubstr("  weights"), HasSubstr("rank 2"), HasSubstr("dp: rows of tables, at most")));
  EXPECT_EQ(program("describe layout " + test + "--set parallel.dp=3").output, dp3.output);
  const Result all = program("describe layout " + test + "--ranks 4");
  EXPECT_EQ(all.exit_code, 0) << all.output;
  EXPECT_THAT(all.output, AllOf(StartsWith("layout "), HasSubstr("\ndp4 ")));
  EXPECT_THAT(program("describe layout " + test).output, StartsWith("layout 1, 1 rank\n"));
  EXPECT_THAT(program("describe model " + test + "--layout dp2").output, HasSubstr("of the 2 ranks of dp2\n"));
}

TEST(Birkhoff, RefusesALayoutWithAllReasonsAtOnce) {
  const std::string test = config("test.yaml") + " --set model.vocab_size=400 ";
  const Result refused = program("describe layout " + test + "--layout tp3.ep5 --ranks 4");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.output,
            "error: layout tp3.ep5 on 4 ranks:\n"
            "  tp 3   does not divide model.attention.num_heads 4\n"
            "  tp 3   does not divide model.ffn.size 64\n"
            "  tp 3   does not divide model.moe.num_shared x expert_size 32\n"
            "  ep 5   does not divide model.moe.num_experts 8\n"
            "  tp 3   does not divide the 4 ranks\n"
            "nearest that work: tp2.dp2.ep4, tp4.ep4, dp4.ep4\n");
  const auto refusal = [&](const std::string& arguments) {
    const Result result = program(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    return result.output;
  };
  EXPECT_THAT(refusal("describe model " + test + "--layout cp2"), HasSubstr("cp 2   this axis is not available yet"));
  EXPECT_THAT(refusal("describe layout " + test + "--ranks 5"),
              HasSubstr("dp 5   x batch.micro_batch_size 1 does not"));
  EXPECT_THAT(refusal("describe layout " + test + "--ranks 99999"), HasSubstr("expected a number from 1 to 4096"));
  EXPECT_THAT(refusal("describe layout " + test + "--layout tp1000.pp1000"), HasSubstr("more than 4096 ranks"));
  EXPECT_THAT(refusal("describe layout " + test + "--layout xp2 --set nonsense=3"),
              AllOf(HasSubstr("did you mean tp2?"), HasSubstr("nonsense")));
  EXPECT_THAT(refusal("describe layout " + test + "--ranks 0"), HasSubstr("expected a number from 1 to 4096"));
  for (const char* set : {"parallel.dp=3", "'parallel={dp: 3}'"}) {
    EXPECT_THAT(refusal("describe layout " + test + "--layout dp2 --set " + set),
                HasSubstr("--layout dp2 and --set contradict one another; give each degree once:\n"
                          "  dp is 2 by --layout and 3 by --set parallel.dp"));
  }
  EXPECT_EQ(program("describe layout " + test + "--layout dp2 --set parallel.dp=2").exit_code, 0);
}

// The page shows what the program prints.
TEST(Birkhoff, DescribesLayoutsAsItsPageShows) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::string root = source ? source : ".", page = read_file(root + "/docs/parallelism.md");
  int shown = 0;
  for (size_t at = 0; (at = page.find("```sh\nbirkhoff describe layout ", at)) != std::string::npos; ++shown) {
    const size_t begin = at + 6, end = page.find("\n```\n\n```\n", begin), output = end + 10;
    ASSERT_NE(end, std::string::npos);
    at = page.find("```\n", output);
    const std::string command = page.substr(begin, end - begin);
    const Result result = shell("cd " + root + " && " + BIRKHOFF_PROGRAM + command.substr(command.find(' ')));
    EXPECT_EQ(result.output, page.substr(output, at - output)) << command;
  }
  EXPECT_EQ(shown, 2);
}

TEST(Birkhoff, DoctorMeasuresTheMachine) {
  const Result result = program("doctor");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("ranks:     1"), HasSubstr("GFLOP/s in f32"), HasSubstr("GB/s")));
}

TEST(Birkhoff, RefusesAnUnknownCommandWithCodeTwo) {
  const Result result = program("trian");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, HasSubstr("'trian' is not a command"));
}

// Runs each command with an output that is closed, full or abandoned by its reader, or with an input that cannot be
// read.
TEST(Streams, ThatCannotBeWrittenOrReadAreErrorsOfEveryCommand) {
  const TempDir dir;
  write_file(dir / "a.txt", "to be or not to be, that is the question\n");
  const std::string tokenizer = (dir / "tokenizer.json").string(), data = (dir / "data").string();
  const std::string train = "tokenizer train " + (dir / "a.txt").string() + " --vocab-size 262 -o " + tokenizer;
  ASSERT_EQ(program(train).exit_code, 0);
  ASSERT_EQ(program("data ingest " + (dir / "a.txt").string() + " --tokenizer " + tokenizer + " -o " + data).exit_code,
            0);
  for (const std::string& command :
       {std::string("--help"), std::string("--version"), std::string("describe config"),
        "describe model " + config("test.yaml") + " --set model.vocab_size=300", train,
        "tokenizer encode " + tokenizer + " <" + (dir / "a.txt").string(), "tokenizer decode " + tokenizer + " <<<65",
        "data inspect " + data, "data verify " + data,
        "bench step --speed-only --rounds 1 --config " + config("test.yaml")}) {
    for (const auto& [output, reason] :
         {std::pair(">/dev/full", "No space left on device"), std::pair(">&-", "Bad file descriptor"),
          std::pair("| (exec <&-; sleep 0.3)", "Broken pipe")}) {
      // The reader of the pipe must be gone before the command writes.
      const std::string late = *output == '|' ? "(sleep 0.1; " : "(";
      const Result result = shell(late + BIRKHOFF_PROGRAM + " " + command + ") " + output + "; exit ${PIPESTATUS[0]}");
      EXPECT_EQ(result.exit_code, 2) << command << output << result.output;
      EXPECT_THAT(result.output, HasSubstr(std::string("error: standard output cannot be written: ") + reason))
          << command << output;
    }
  }
  // Endless input must end once nobody reads the output.
  const Result endless = shell(std::string("(yes | timeout 20 ") + BIRKHOFF_PROGRAM + " tokenizer encode " + tokenizer +
                               ") | head -1 >/dev/null; exit ${PIPESTATUS[0]}");
  EXPECT_EQ(endless.exit_code, 2) << endless.output;
  for (const auto& [input, reason] : {std::pair("</", "Is a directory"), std::pair("<&-", "Bad file descriptor")}) {
    for (const char* command : {"encode", "encode --whole", "decode"}) {
      const Result result = program(std::string("tokenizer ") + command + " " + tokenizer + " " + input);
      EXPECT_EQ(result.exit_code, 2) << command << input;
      EXPECT_THAT(result.output, HasSubstr(std::string("error: standard input cannot be read: ") + reason));
    }
  }
}

// A file that got the number of a closed stream would receive what is printed.
TEST(Streams, ThatAreClosedAreNotReusedForFiles) {
  const TempDir dir;
  write_file(dir / "a.txt", "to be or not to be, that is the question\n");
  const auto train = [&](const std::string& name, const std::string& streams) {
    return shell(std::string(BIRKHOFF_PROGRAM) + " tokenizer train " + (dir / "a.txt").string() +
                 " --vocab-size 262 -o " + (dir / name).string() + " " + streams)
        .exit_code;
  };
  EXPECT_EQ(train("a.json", ""), 0);
  EXPECT_EQ(train("b.json", "<&- >&- 2>&-"), 2);
  EXPECT_EQ(read_file(dir / "a.json"), read_file(dir / "b.json"));
}

// Checks the settings that libgomp reports to have read.
TEST(ThreadWaits, AreBoundedUnlessTheUserHasSaidOtherwise) {
  const auto spin_count = [](const std::string& environment) {
    const Result result =
        shell("env -u OMP_WAIT_POLICY OMP_DISPLAY_ENV=verbose " + environment + " " + BIRKHOFF_PROGRAM + " --version");
    EXPECT_EQ(result.exit_code, 0);
    const size_t at = result.output.rfind("GOMP_SPINCOUNT = '");
    return at == std::string::npos ? -1 : std::stoll(result.output.substr(at + 18));
  };
  const int64_t bounded = spin_count("");
  if (bounded < 0) GTEST_SKIP() << "the OpenMP library is not libgomp";
  EXPECT_GE(bounded, 100);
  EXPECT_LE(bounded, 1000000);
  constexpr int64_t kLibrary = 300000;
  EXPECT_TRUE(bounded != kLibrary || spin_count("") != kLibrary)
      << "the library's own, and not the time that we measure";
  EXPECT_EQ(spin_count("GOMP_SPINCOUNT=7"), 7);
  EXPECT_EQ(spin_count("OMP_WAIT_POLICY=passive"), 0);
  EXPECT_GT(spin_count("OMP_WAIT_POLICY=active"), 1000000);
}

// However the program is started, it executes itself again with the same arguments.
TEST(ThreadWaits, KeepTheArguments) {
  const std::string program = BIRKHOFF_PROGRAM;
  for (const std::string& start :
       {"exec -a other " + program, "exec -a '' " + program,
        "for l in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do [ -e $l ] && break; done; $l " + program}) {
    const Result result = shell("unset OMP_WAIT_POLICY; " + start + " --version");
    EXPECT_EQ(result.exit_code, 0) << start << result.output;
    EXPECT_TRUE(result.output.starts_with("birkhoff ")) << start << result.output;
  }
}

// An unset shell variable leaves an empty argument.
TEST(Birkhoff, RefusesAnEmptyValue) {
  for (const char* arguments :
       {"train x.yaml --resume ''", "describe config ''", "data verify ''", "tokenizer train ''"}) {
    const Result result = program(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    EXPECT_THAT(result.output, HasSubstr("the value is empty; give one, or leave the option out")) << arguments;
  }
}

}  // namespace
}  // namespace birkhoff::test
