// Runs `birkhoff verify-layout` as users do, on threads and under mpirun.
#include <filesystem>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

std::string config(const std::string& name) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  return std::string(source ? source : ".") + "/configs/" + name;
}

ProgramResult verify(const std::string& arguments, int ranks = 1) {
  return run_program(mpirun(ranks) + BIRKHOFF_PROGRAM + " verify-layout " + config("test.yaml") + " " + arguments);
}

TEST(VerifyLayout, PrintsWhatItProvedAndWritesTheSameAsJson) {
  const TempDir dir;
  const std::string file = (dir / "proof.json").string();
  const ProgramResult result = verify("--layouts dp2,1 --steps 2 --set model.vocab_size=61 --json " + file);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("for the proof, precision.recipe bf16 -> f32"), HasSubstr("dp2: pass, 2 ranks, "),
                    HasSubstr("  routed experts  "), HasSubstr("not counted: it runs no other code"),
                    HasSubstr("\n1 layout passes, not counting 1\n")));
  const Json j = Json::parse(read_file(file));
  EXPECT_EQ(j["inputs"]["layouts"], "dp2,1");
  EXPECT_EQ(j["inputs"]["backend"], "threads");
  EXPECT_EQ(j["inputs"]["set"], Json::array({"model.vocab_size=61"}));
  EXPECT_EQ(j["complete"], true);
  EXPECT_EQ(j["passed"], true);
  ASSERT_EQ(j["layouts"].size(), 2u);
  EXPECT_EQ(j["layouts"][0]["name"], "dp2");
  EXPECT_EQ(j["layouts"][0]["ranks"], 2);
  EXPECT_GT(j["layouts"][0]["worst"].size(), 8u);
  for (const char* kind : {"tokens", "targets", "loads of experts", "router biases", "touched rows", "moved rows"}) {
    EXPECT_GT(j["layouts"][0]["exact"][kind].get<int64_t>(), 0) << kind;
  }
  for (const Json& worst : j["layouts"][0]["worst"]) {
    EXPECT_LE(worst["error"].get<double>(), worst["bound"].get<double>()) << worst;
    EXPECT_NE(worst["where"], "");
  }
  // What is zero by structure is printed and written.
  ASSERT_GT(j["zero_by_structure"].size(), 0u);
  for (const Json& where : j["zero_by_structure"]) {
    EXPECT_THAT(result.output, HasSubstr("zero by structure: " + where.get<std::string>() + "\n"));
  }
}

TEST(VerifyLayout, ListsTheLayoutsOfAllAndWhatItLeftOut) {
  const TempDir dir;
  const std::string file = (dir / "list.json").string();
  const ProgramResult result = verify("--list --ranks 3 --json " + file);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("dp2, 2 ranks\n"), HasSubstr("left out: cp: this axis is not available yet\n"),
                    HasSubstr("left out: dp4: needs 4 ranks, but --ranks allows 3\n"), Not(HasSubstr("pass"))));
  const Json j = Json::parse(read_file(file));
  EXPECT_EQ(j["chosen"].size(), 8u);
  EXPECT_EQ(j["chosen"][0], Json::parse(R"({"name": "tp2", "ranks": 2})"));
  EXPECT_EQ(j["chosen"][7], Json::parse(R"({"name": "tp2.ep2.grouped", "ranks": 2})"));
  EXPECT_GT(j["left_out"].size(), 8u);
  EXPECT_EQ(j["passed"], false) << "nothing was proven";
  EXPECT_EQ(j["complete"], true);
}

TEST(VerifyLayout, RunsOnTheRanksOfMpirun) {
  const TempDir dir;
  const std::string file = (dir / "proof.json").string();
  const ProgramResult result = verify(
      "--backend mpi --layouts dp3,tp2,ep2.grouped --steps 2 --scratch " + dir.path().string() + " --json " + file, 3);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, AllOf(HasSubstr("dp3: pass, 3 ranks, "), HasSubstr("tp2: pass, 2 ranks, "),
                                   HasSubstr("\n3 layouts pass\n")));
  size_t times = 0;
  for (size_t at = 0; (at = result.output.find("layouts pass", at)) != std::string::npos; ++at) ++times;
  EXPECT_EQ(times, 1u) << "only rank 0 prints";
  // The ranks compute the same as threads, to the bit.
  const std::string of_threads = (dir / "threads.json").string();
  ASSERT_EQ(verify("--layouts dp3,tp2,ep2.grouped --steps 2 --json " + of_threads).exit_code, 0);
  const Json mpi = Json::parse(read_file(file)), threads = Json::parse(read_file(of_threads));
  for (size_t layout = 0; layout < 3; ++layout) {
    EXPECT_EQ(mpi["layouts"][layout]["worst"], threads["layouts"][layout]["worst"]);
  }
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    EXPECT_TRUE(entry.is_regular_file()) << entry.path() << " was left behind";
  }
}

TEST(VerifyLayout, RefusesBeforeAnyWorkAndAllAtOnce) {
  const ProgramResult layouts = verify("--layouts dp2,cp2,xx,dp9");
  EXPECT_EQ(layouts.exit_code, 2);
  EXPECT_THAT(layouts.output,
              AllOf(HasSubstr("layout cp2: only dp, tp, ep, etp are available yet"), HasSubstr("'xx' is not an axis"),
                    HasSubstr("layout dp9: needs 9 ranks, but --ranks allows 8"), Not(HasSubstr("for the proof"))));
  const ProgramResult ranks = verify("--backend mpi --layouts dp2,dp3,dp4", 2);
  EXPECT_EQ(ranks.exit_code, 2);
  EXPECT_THAT(ranks.output,
              AllOf(HasSubstr("layout dp3: needs 3 ranks, but mpirun started 2"),
                    HasSubstr("layout dp4: needs 4 ranks, but mpirun started 2"), Not(HasSubstr("for the proof"))));
}

TEST(VerifyLayout, RefusesWhatProvesNothingOrContradictsItself) {
  const ProgramResult one = verify("--layouts dp1");
  EXPECT_EQ(one.exit_code, 2);
  EXPECT_THAT(one.output, HasSubstr("--layouts dp1 has one rank"));
  const ProgramResult recipe = verify("--layouts dp2 --device reference --precision bf16");
  EXPECT_EQ(recipe.exit_code, 2);
  EXPECT_THAT(recipe.output, HasSubstr("--precision is bf16, but the reference device computes everything in f64"));
  const ProgramResult device = verify("--layouts dp2 --device cpu --set run.device=reference");
  EXPECT_EQ(device.exit_code, 2);
  EXPECT_THAT(device.output, HasSubstr("--device and --set run.device are given"));
  const ProgramResult unused = verify("--list --layouts ep2 --set parallel.dispatch=grouped --set parallel.tp=2");
  EXPECT_EQ(unused.exit_code, 0);
  EXPECT_THAT(unused.output, AllOf(HasSubstr("parallel.tp has no effect: --layouts names the layouts"),
                                   HasSubstr("dp2.ep2.grouped, 2 ranks\n")));
}

// Found before any other collective, which could hang or take one number for another.
TEST(VerifyLayout, RefusesRanksWithOtherOptions) {
  const std::string line =
      std::string(BIRKHOFF_PROGRAM) + " verify-layout " + config("test.yaml") + " --backend mpi --layouts dp2 --steps ";
  const ProgramResult result = run_pair(line + "1", line + "2");
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.output, AllOf(HasSubstr("the ranks do not run the same program"), HasSubstr("--steps 1"),
                                   HasSubstr("--steps 2"), Not(HasSubstr("for the proof"))));
}

TEST(VerifyLayout, RefusesSequencesWhoseGradientsAreLittleButRounding) {
  const ProgramResult result = verify("--layouts dp2 --set batch.sequence_length=3");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, HasSubstr("batch.sequence_length is 3: "));
}

TEST(VerifyLayout, SaysHowEachBackendIsStarted) {
  const ProgramResult alone = verify("--backend mpi --layouts dp2");
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_THAT(alone.output, HasSubstr("mpirun -n 8 birkhoff verify-layout "));
  const ProgramResult threads = verify("--layouts dp2", 2);
  EXPECT_EQ(threads.exit_code, 2);
  EXPECT_THAT(threads.output, AllOf(HasSubstr("start it without mpirun"), HasSubstr("--backend mpi")));
}

TEST(VerifyLayout, RefusesAFileThatCannotBeWrittenBeforeAnyWork) {
  const TempDir dir;
  for (const std::string& file :
       {(dir / "no/such/folder.json").string(), dir.path().string(), std::string("/dev/null")}) {
    const ProgramResult result = verify("--layouts dp2 --json " + file);
    EXPECT_EQ(result.exit_code, 2) << file;
    EXPECT_THAT(result.output, AllOf(HasSubstr("--json is " + file), Not(HasSubstr("for the proof")))) << file;
  }
}

TEST(VerifyLayout, RefusesAFolderForStatesThatCannotBeMade) {
  const ProgramResult result = verify("--backend mpi --layouts dp2 --scratch /dev/null/x", 2);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.output, AllOf(HasSubstr("/dev/null/x"), HasSubstr("make it first"), Not(HasSubstr("pass"))));
}

// The line of settings that the error proposes, run under the same limit.
TEST(VerifyLayout, RefusesAConfigThatDoesNotFitAndProposesOneThatDoes) {
#ifdef BIRKHOFF_SANITIZED
  GTEST_SKIP() << "a sanitizer needs more address space than the test leaves";
#endif
  const auto limited = [](const std::string& settings) {
    return run_program("bash -c \"ulimit -v 1500000; " BIRKHOFF_PROGRAM " verify-layout " + config("deepseek_v3.yaml") +
                       " --layouts dp2 --steps 1" + settings + "\"");
  };
  const ProgramResult refused = limited("");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("error: the proof of dp2 needs "),
                                    HasSubstr("left to a process by ulimit -v"), Not(HasSubstr("for the proof"))));
  const size_t line = refused.output.find("\n  --set ");
  ASSERT_NE(line, std::string::npos) << refused.output;
  const std::string settings = refused.output.substr(line + 1, refused.output.find('\n', line + 1) - line - 1);
  const ProgramResult proven = limited(settings);
  EXPECT_EQ(proven.exit_code, 0) << settings << '\n' << proven.output;
  EXPECT_THAT(proven.output, HasSubstr("\n1 layout passes\n"));
}

// The predictor has no weight in the loss, so its gradients are zero, whatever a layout does with them.
TEST(VerifyLayout, EndsWithSevenWhereAGradientVanishes) {
  const ProgramResult result = verify("--layouts dp2 --steps 1 --set model.mtp.weight=0");
  EXPECT_EQ(result.exit_code, 7) << result.output;
  EXPECT_THAT(result.output, AllOf(HasSubstr("\nFAIL the gradient vanishes: mtp.0.norm.weight\n"),
                                   HasSubstr("gradients of one rank vanish"), Not(HasSubstr("layout passes"))));
}

TEST(VerifyLayout, ProvesTheConfigThatHasEveryFeature) {
  const ProgramResult result =
      run_program(BIRKHOFF_PROGRAM " verify-layout " + config("verify.yaml") + " --layouts dp2 --steps 2");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  // Every gradient is judged for itself.
  EXPECT_THAT(result.output, AllOf(HasSubstr("\n1 layout passes\n"), Not(HasSubstr("zero by structure")),
                                   Not(HasSubstr("judged against"))));
}

std::string symbols_of(const std::string& file) {
  const ProgramResult symbols = run_program("nm --demangle " + file);
  EXPECT_EQ(symbols.exit_code, 0) << symbols.output;
  EXPECT_THAT(symbols.output, HasSubstr("birkhoff::")) << file;
  return symbols.output;
}

// Neither the program nor a library can be told to be wrong: seeded defects and injected failures are compiled for
// tests alone.
TEST(Birkhoff, HasNoSymbolOfADefect) {
  std::istringstream files(BIRKHOFF_BINARIES);
  size_t num_files = 0;
  for (std::string file; files >> file; ++num_files) {
    EXPECT_THAT(symbols_of(file), AllOf(Not(HasSubstr("has_seeded_defect")), Not(HasSubstr("inject_")))) << file;
  }
  EXPECT_EQ(num_files, 6u);
  EXPECT_THAT(symbols_of(BIRKHOFF_WITH_DEFECTS), HasSubstr("has_seeded_defect"));
}

}  // namespace
}  // namespace birkhoff::test
