// Restarts of a small run that was begun by commit 387785c. run_of_387785c.txt holds its dataset, its configuration and
// its checkpoint of step 2, made by
//   birkhoff train run.yaml --set run.steps=2
//   tar c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 . | gzip -9n | base64 -w120
#include <cstdlib>
#include <limits>

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/json/json.h"
#include "kernels/core/hash.h"
#include "tests/e2e/training.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class OldRun : public testing::Test {
 protected:
  OldRun() {
    const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
    const std::string text = std::string(source ? source : ".") + "/tests/e2e/run_of_387785c.txt";
    const ProgramResult unpacked =
        run_program("sh -c 'base64 -d " + text + " | tar xz -C " + dir_.path().string() + "'");
    EXPECT_EQ(unpacked.exit_code, 0) << unpacked.output;
  }

  // The command that trains into run.dir `name`, from the old checkpoint if that directory has none of its own.
  std::string command(const std::string& name, const std::string& arguments) const {
    const std::string own = fs::exists(dir_ / name / "checkpoints") ? "auto" : (dir_ / "checkpoint").string();
    const std::string data = (dir_ / "data").string();
    return std::string(BIRKHOFF_PROGRAM) + " train " + (dir_ / "run.yaml").string() + " --resume " + own +
           " --set run.dir=" + (dir_ / name).string() +
           " --set data.tokenizer=" + (dir_ / "checkpoint" / "tokenizer.json").string() +
           " --set 'data.sources=[{path: " + data + "}]' " + arguments;
  }
  ProgramResult train(const std::string& name, const std::string& arguments) const {
    return run_program(command(name, arguments));
  }

  const TempDir dir_;
};

// The losses that 387785c computed, printed to six digits; instruction sets differ by less.
TEST_F(OldRun, IsVerifiedAndGoesOnWithTheSameLosses) {
  const ProgramResult verified =
      run_program(std::string(BIRKHOFF_PROGRAM) + " checkpoint verify " + (dir_ / "checkpoint").string());
  EXPECT_EQ(verified.exit_code, 0) << verified.output;
  const ProgramResult run = train("run", "--set run.steps=5");
  ASSERT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("checkpoint, step 2"));
  const std::vector<double> expected{5.60314, 5.58987, 5.58277}, got = losses(run.output);
  ASSERT_EQ(got.size(), expected.size()) << run.output;
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-5);
}

TEST_F(OldRun, GoesOnOnTheReferenceDeviceAndComesBackRounded) {
  const ProgramResult wide = train("run", "--set run.device=reference --set run.steps=3");
  ASSERT_EQ(wide.exit_code, 0) << wide.output;
  EXPECT_THAT(wide.output, AllOf(HasSubstr("run.device: cpu -> reference"), Not(HasSubstr("rounded"))));
  EXPECT_NEAR(losses(wide.output).at(0), 5.60314, 2e-5);
  EXPECT_EQ(manifest_of(dir_ / "run", 3).tensors.at("model.head.weight").dtype, DType::f64);
  const ProgramResult back = train("run", "--set run.steps=4");
  ASSERT_EQ(back.exit_code, 0) << back.output;
  EXPECT_THAT(back.output, HasSubstr("tensors of the checkpoint are f64, which run.device cpu holds in fewer bits: "
                                     "they were rounded"));
  EXPECT_NEAR(losses(back.output).at(0), 5.58987, 2e-5);
}

TEST_F(OldRun, IsRefusedFewerStepsThanItHas) {
  const ProgramResult run = train("run", "--set run.steps=1");
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("run.steps is 1, but "), HasSubstr("is of step 2; raise run.steps")));
  EXPECT_EQ(train("run", "--set run.steps=2").exit_code, 0) << "as many are fine";
}

// Manifests with a correct checksum and a mistake that only the run itself can find.
TEST_F(OldRun, IsRefusedWhereItsManifestContradictsItself) {
  struct Case {
    std::function<void(Json& body)> change;
    const char* expected;
  };
  const std::vector<Case> cases{
      {[](Json& b) { b["integers"]["trainer.steps"] = 3; }, "its manifest is of step 2, but its trainer.steps is 3"},
      {[](Json& b) { b["integers"]["trainer.updates"] = INT64_MAX; }, "expected a number from 0 to 2"},
      {[](Json& b) { b["integers"]["run.skipped_in_a_row"] = 3; }, "run.skipped_in_a_row is 3, expected a number"},
      {[](Json& b) { b["texts"]["run.recent_skips"] = "1 1 "; }, "expected ascending numbers of steps from 1 to 2"},
      {[](Json& b) { b["texts"]["run.recent_skips"] = "1 3 "; }, "run.recent_skips has 3 behind 1"},
      {[](Json& b) { b["texts"]["run.recent_skips"] = "-1 2 "; }, "run.recent_skips has -1 behind 0"},
      {[](Json& b) { b["files"].erase("config.yaml"); }, "its manifest lists no config.yaml"},
      {[this](Json& b) {
         const std::string text = read_file(dir_ / "checkpoint" / "config.yaml") + "of_a_newer_program: 1\n";
         write_file(dir_ / "checkpoint" / "config.yaml", text);
         b["files"]["config.yaml"] = {{"bytes", text.size()}, {"xxh3", hex16(hash64(text.data(), text.size()))}};
       },
       "A newer program wrote this checkpoint, or its config.yaml was edited"},
  };
  const fs::path path = dir_ / "checkpoint" / kManifestName;
  const Json good = parse_json(read_file(path), "m");
  for (const Case& c : cases) {
    Json whole = good;
    c.change(whole["manifest"]);
    whole["xxh3"] = json_checksum(whole["manifest"]);
    write_file(path, whole.dump());
    const ProgramResult run = train(concat("run", &c - cases.data()), "--set run.steps=4");
    EXPECT_EQ(run.exit_code, 6) << run.output;
    EXPECT_THAT(run.output, HasSubstr(c.expected));
  }
}

TEST_F(OldRun, RemovesWhatAKilledRunLeftBehind) {
  const int ended = ::fork();
  if (ended == 0) ::_exit(0);
  ::waitpid(ended, nullptr, 0);
  const fs::path run = dir_ / "run";
  const std::string process = std::to_string(ended), living = std::to_string(::getpid());
  write_file(run / "checkpoints" / ".unfinished-step-00000007" / "rank-00000.h5", "half");
  write_file(run / (".resolved.yaml." + process + ".tmp"), "half");
  write_file(run / (".resolved.yaml." + living + ".tmp"), "of a process that lives");
  write_file(run / (".notes." + process + ".tmp"), "of another program");
  fs::copy(dir_ / "checkpoint", run / "checkpoints" / checkpoint_name(2), fs::copy_options::recursive);
  const ProgramResult next = train("run", "--set checkpoint.interval=0 --set run.steps=2");
  ASSERT_EQ(next.exit_code, 0) << next.output;
  EXPECT_FALSE(fs::exists(run / "checkpoints" / ".unfinished-step-00000007"));
  EXPECT_FALSE(fs::exists(run / (".resolved.yaml." + process + ".tmp")));
  EXPECT_TRUE(fs::exists(run / (".resolved.yaml." + living + ".tmp")));
  EXPECT_TRUE(fs::exists(run / (".notes." + process + ".tmp")));
}

TEST_F(OldRun, NeedsNoRoomInSharedMemoryToSave) {
  const std::string full = "unshare -m sh -c \"mount -t tmpfs -o size=16k none /dev/shm && ";
  if (run_program(full + "true\"").exit_code != 0) GTEST_SKIP() << "no tmpfs can be mounted";
  const ProgramResult run =
      run_program(full + "dd if=/dev/zero of=/dev/shm/full 2>/dev/null; exec " + command("run", "--set run.steps=4\""));
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, Not(HasSubstr("warning")));
  EXPECT_THAT(list_checkpoints(dir_ / "run" / "checkpoints"), ElementsAre(3, 4));
}

TEST_F(OldRun, IsWarnedOfAnyValueOfItsCheckpointThatIsNotFinite) {
  const fs::path checkpoint = dir_ / "checkpoint";
  Manifest manifest = open_checkpoint(checkpoint);
  manifest.reals.at("spike.loss.1") = std::numeric_limits<double>::quiet_NaN();
  write_file(checkpoint / kManifestName, to_text(manifest));
  const ProgramResult run = train("run", "--set run.steps=3");
  EXPECT_EQ(run.exit_code, 5) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("checkpoint holds a state that is not finite: spike.loss.1 is nan. No state"),
                                HasSubstr("checkpoint holds was not finite either. Resume from an older checkpoint")));
}

// A negative second moment is finite, but its square root is not.
TEST_F(OldRun, NamesTheCheckpointThatItCameFromWhereItsStateTurnsOutNotFinite) {
  const fs::path checkpoint = dir_ / "checkpoint";
  Manifest manifest = open_checkpoint(checkpoint);
  Manifest::Part& part = manifest.tensors.at("adamw.v.head.weight").parts.at(0);
  std::string bytes = read_file(checkpoint / part.file);
  const auto offset = static_cast<size_t>(part.offset);
  bytes[offset] = '\x80', bytes[offset + 1] = '\xbf';  // -1 in bf16
  part.xxh3 = hex16(hash64(bytes.data() + offset, 2 * static_cast<size_t>(part.count())));
  write_file(checkpoint / part.file, bytes);
  write_file(checkpoint / kManifestName, to_text(manifest));
  const ProgramResult run = train("run", "--set run.steps=3");
  EXPECT_EQ(run.exit_code, 5) << run.output;
  EXPECT_THAT(run.output, HasSubstr("Nothing of it was saved; the newest checkpoint from before it is " +
                                    checkpoint.string() + ". Resume from that or an older one"));
}

constexpr const char* kSpikes =
    "--set optimizer.learning_rate=0 --set optimizer.spike.z_score=0.001 --set optimizer.max_nonfinite_steps=1000 ";

// With this threshold about half of some thirty steps count as spikes.
TEST_F(OldRun, EndsWhereTooManyOfTheLastStepsWereSkipped) {
  const ProgramResult run = train("run", std::string(kSpikes) +
                                             "--set optimizer.nonfinite_window=20 --set "
                                             "optimizer.max_nonfinite_in_window=4 --set run.steps=400");
  EXPECT_EQ(run.exit_code, 5) << run.output;
  EXPECT_THAT(run.output, testing::ContainsRegex("stopped after step [0-9]+, 4 of the last 20 steps having been "
                                                 "skipped; last: the loss [0-9.]+ is a spike"));
}

TEST_F(OldRun, CountsSkippedStepsAcrossARestart) {
  const std::string wide = std::string(kSpikes) + "--set optimizer.nonfinite_window=12 ";
  ASSERT_EQ(train("straight", wide + "--set run.steps=30").exit_code, 0);
  ASSERT_EQ(train("parts", wide + "--set run.steps=20").exit_code, 0);
  EXPECT_THAT(manifest_of(dir_ / "parts", 20).texts.at("run.recent_skips"), Not(IsEmpty()));
  ASSERT_EQ(train("parts", wide + "--set run.steps=30").exit_code, 0);
  EXPECT_THAT(differences(manifest_of(dir_ / "straight", 30), manifest_of(dir_ / "parts", 30)), IsEmpty());
}

}  // namespace
}  // namespace birkhoff::test
