// Checkpoints of whole runs: full and read-only disks, directories that another run holds, and which line of training a
// restart continues.
#include <csignal>
#include <fstream>

#include <gmock/gmock.h>

#include "tests/e2e/training.h"
#include "tests/support/tiny_disk.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kEndless = " --set run.steps=100000 --set eval.interval=0";

std::string saves_to(const fs::path& directory) { return " --set checkpoint.dir=" + directory.string(); }

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

TEST(FullDisk, ARunGoesOnAndTheNextSaveWorks) {
  const TinyDisk disk("16m");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  const TempDir dir;
  Background run(
      Training::shared().command(2, dir / "run", saves_to(disk.path()) + kEndless + " --set checkpoint.interval=10"),
      dir / "log");
  ASSERT_TRUE(run.shows("checkpoint of step 10: ", 60)) << run.output();
  ASSERT_TRUE(disk.leave(0));
  ASSERT_TRUE(run.shows("was not saved, the older ones are untouched: ", 60)) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("No space left on device"));
  disk.make_room();
  const size_t saved_before = count(run.output(), "\ncheckpoint of step ");
  for (int i = 0; i < 600 && count(run.output(), "\ncheckpoint of step ") <= saved_before; ++i) usleep(100'000);
  EXPECT_GT(count(run.output(), "\ncheckpoint of step "), saved_before) << run.output();
  run.signal(SIGUSR1);
  EXPECT_EQ(run.wait(60), 75) << run.output();
  const int64_t newest = list_checkpoints(disk.path()).back();
  const Manifest manifest = verify_checkpoint(disk.path() / checkpoint_name(newest));
  EXPECT_GT(manifest.integers.at("run.failed_saves"), 0);
  EXPECT_THAT(read_file(dir / "run" / "metrics.jsonl"), HasSubstr("\"failed_total\":1"));
}

// One free page suffices for the lock, but not for a checkpoint.
TEST(FullDisk, ALastCheckpointThatCannotBeWrittenIsTriedTwiceAndIsCode74) {
  const TinyDisk disk("4m");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  ASSERT_TRUE(disk.leave(1));
  const TempDir dir;
  for (const char* interval : {"0", "3"}) {
    const ProgramResult run = Training::shared().train(
        2, dir / "run", saves_to(disk.path()) + " --set run.steps=3 --set checkpoint.interval=" + interval);
    EXPECT_EQ(run.exit_code, 74) << run.output;
    EXPECT_EQ(count(run.output, "the checkpoint of step 3 was not saved"), 2u) << run.output;
    EXPECT_THAT(run.output, AllOf(HasSubstr("trying once more"), HasSubstr("what was trained after the start is lost"),
                                  HasSubstr("Make room in " + disk.path().string()), Not(HasSubstr("done: "))));
  }
  disk.make_room();
  EXPECT_EQ(Training::shared().train(2, dir / "run", saves_to(disk.path()) + " --set run.steps=3").exit_code, 0);
  EXPECT_THAT(list_checkpoints(disk.path()), ElementsAre(3));
}

TEST(FullDisk, ARequestedStopWithoutItsCheckpointIsCode74) {
  const TinyDisk disk("4m");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  ASSERT_TRUE(disk.leave(1));
  const TempDir dir;
  Background run(Training::shared().command(1, dir / "run", saves_to(disk.path()) + kEndless), dir / "log");
  ASSERT_TRUE(run.shows("step: 2/", 60)) << run.output();
  run.signal(SIGUSR1);
  EXPECT_EQ(run.wait(60), 74) << run.output();
  EXPECT_THAT(run.output(), AllOf(HasSubstr("is lost"), Not(HasSubstr("stopped after step"))));
}

// The checkpoint has 14 MB. The limit cannot be much lower, because Open MPI itself needs files of 4 MiB.
TEST(FileSizeLimit, IsAFailedSaveAndNeverADeathByASignal) {
  const TempDir dir;
  const std::string train = Training::shared().command(
      1, dir / "run", "--set run.steps=3 --set checkpoint.interval=2 --set model.engram.rows_per_head=50000");
  const ProgramResult run = run_program("bash -c \"ulimit -f 5000; exec " + train + "\"");
  EXPECT_EQ(run.exit_code, 74) << run.output;
  EXPECT_EQ(count(run.output, "the checkpoint of step 2 was not saved, the older ones are untouched: "), 1u)
      << run.output;
  EXPECT_EQ(count(run.output, "the checkpoint of step 3 was not saved"), 2u) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("(ulimit -f)"), HasSubstr("what was trained after the start is lost"),
                                Not(HasSubstr("done: "))));
  EXPECT_THAT(list_checkpoints(dir / "run" / "checkpoints"), IsEmpty());
}

// The run has saved nothing in its directory, so --resume auto would start a new run; the advice must be the same
// command.
TEST(FullDisk, ARunThatSavedNothingIsStartedAgainFromTheCheckpointItWasGiven) {
  const TinyDisk disk("4m");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  const TempDir dir;
  ASSERT_EQ(Training::shared().train(1, dir / "other", "--set run.steps=2").exit_code, 0);
  ASSERT_TRUE(disk.leave(1));
  const std::string from = (dir / "other" / "checkpoints" / checkpoint_name(2)).string();
  const ProgramResult run =
      Training::shared().train(1, dir / "run", saves_to(disk.path()) + " --set run.steps=3 --resume " + from);
  EXPECT_EQ(run.exit_code, 74) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("what was trained after step 2 is lost"),
                                HasSubstr("start again with the same command")));
}

TEST(FullDisk, IsFoundBeforeTheFirstStep) {
  const TinyDisk disk("1m");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  ASSERT_TRUE(disk.leave(0));
  const TempDir dir;
  const ProgramResult run = Training::shared().train(1, dir / "run", saves_to(disk.path()));
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("No space left on device. Make room, or choose another checkpoint.dir"),
                                Not(HasSubstr("step: 1/"))));
}

TEST(CheckpointDirectory, ThatIsReadOnlyIsFoundBeforeTheFirstStep) {
  const TinyDisk disk("1m", MS_RDONLY);
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  const TempDir dir;
  const ProgramResult run = Training::shared().train(1, dir / "run", saves_to(disk.path()));
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("cannot be written: Read-only file system. Choose another checkpoint.dir"),
                                Not(HasSubstr("step: 1/"))));
}

TEST(CheckpointDirectory, IsRefusedToARunWithAnotherRunDirectory) {
  const TempDir dir;
  Background first(Training::shared().command(1, dir / "first", saves_to(dir / "shared") + kEndless), dir / "log");
  ASSERT_TRUE(first.shows("step: 1/", 60)) << first.output();
  const ProgramResult second = Training::shared().train(1, dir / "second", saves_to(dir / "shared"));
  EXPECT_EQ(second.exit_code, 2) << second.output;
  EXPECT_THAT(second.output, AllOf(HasSubstr("shared is in use by process "), HasSubstr("another checkpoint.dir")));
  // Nor may it use the checkpoint directory inside another run's directory.
  Background third(Training::shared().command(1, dir / "third", kEndless), dir / "log3");
  ASSERT_TRUE(third.shows("step: 1/", 60)) << third.output();
  EXPECT_EQ(Training::shared().train(1, dir / "fourth", saves_to(dir / "third" / "checkpoints")).exit_code, 2);
}

// Arguments for a run up to step `last` that saves every second step.
std::string steps(int last) {
  return "--set checkpoint.interval=2 --set checkpoint.keep=9 --set run.steps=" + std::to_string(last);
}

TEST(Line, ARestartFollowsTheOneThatWasResumedFromAnOlderCheckpoint) {
  const TempDir dir;
  const fs::path saved = dir / "run" / "checkpoints";
  ASSERT_EQ(Training::shared().train(1, dir / "run", steps(6)).exit_code, 0);
  const ProgramResult older =
      Training::shared().train(1, dir / "run", steps(3) + " --resume " + (saved / checkpoint_name(2)).string());
  ASSERT_EQ(older.exit_code, 0) << older.output;
  EXPECT_THAT(older.output, AllOf(HasSubstr("set aside, since this run does not go on from it: "),
                                  HasSubstr("abandoned-step-00000004"), HasSubstr("abandoned-step-00000006")));
  EXPECT_THAT(list_checkpoints(saved), ElementsAre(2, 3));
  const ProgramResult next = Training::shared().train(1, dir / "run", steps(4));
  EXPECT_THAT(next.output, AllOf(HasSubstr("step-00000003, step 3"), Not(HasSubstr("set aside"))));
  EXPECT_THAT(list_checkpoints(saved), ElementsAre(2, 3, 4));
  EXPECT_EQ(verify_checkpoint(saved / "abandoned-step-00000006").step, 6);
}

TEST(Line, ARestartFollowsTheOneThatBeganAnew) {
  const TempDir dir;
  const fs::path saved = dir / "run" / "checkpoints";
  ASSERT_EQ(Training::shared().train(1, dir / "run", steps(4)).exit_code, 0);
  const ProgramResult anew = Training::shared().train(1, dir / "run", steps(1) + " --resume none");
  ASSERT_EQ(anew.exit_code, 0) << anew.output;
  EXPECT_THAT(list_checkpoints(saved), ElementsAre(1));
  const ProgramResult next = Training::shared().train(1, dir / "run", steps(2));
  EXPECT_THAT(next.output, HasSubstr("step-00000001, step 1"));
  EXPECT_TRUE(fs::exists(saved / "abandoned-step-00000004" / kManifestName));
}

TEST(Line, ARestartFollowsTheOneThatCameFromElsewhere) {
  const TempDir dir;
  ASSERT_EQ(Training::shared().train(1, dir / "other", steps(2)).exit_code, 0);
  ASSERT_EQ(Training::shared().train(1, dir / "run", steps(6)).exit_code, 0);
  const fs::path from = dir / "other" / "checkpoints" / checkpoint_name(2);
  const ProgramResult run = Training::shared().train(1, dir / "run", steps(2) + " --resume " + from.string());
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(list_checkpoints(dir / "run" / "checkpoints"), ElementsAre(2)) << "what it came from is saved here too";
}

TEST(Line, IsKeptHoweverThePathOfItsCheckpointIsWritten) {
  const TempDir dir;
  const fs::path saved = dir / "run" / "checkpoints", link = dir / "latest";
  ASSERT_EQ(Training::shared().train(1, dir / "run", steps(4)).exit_code, 0);
  fs::create_directory_symlink(saved / checkpoint_name(2), link);
  const std::string path = (saved / checkpoint_name(2)).string();
  for (const std::string& named : {path + "/", path + "/.", link.string()}) {
    const ProgramResult run = Training::shared().train(1, dir / "run", steps(2) + " --resume " + named);
    EXPECT_EQ(run.exit_code, 0) << run.output;
    EXPECT_THAT(list_checkpoints(saved), ElementsAre(2)) << named;
    EXPECT_FALSE(fs::exists(saved / "abandoned-step-00000002")) << named;
  }
}

// An abandoned checkpoint does not belong to the line that a restart follows, so its state is saved again.
TEST(Line, ARestartFollowsTheOneThatWasAbandonedAndIsTakenUpAgain) {
  const TempDir dir;
  const fs::path saved = dir / "run" / "checkpoints", abandoned = saved / "abandoned-step-00000004";
  ASSERT_EQ(Training::shared().train(1, dir / "run", steps(4)).exit_code, 0);
  fs::rename(saved / checkpoint_name(4), abandoned);
  const ProgramResult run = Training::shared().train(1, dir / "run", steps(4) + " --resume " + abandoned.string());
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(list_checkpoints(saved), ElementsAre(4));
  EXPECT_THAT(differences(verify_checkpoint(abandoned), manifest_of(dir / "run", 4)), IsEmpty());
}

// A start that fails before its first step leaves the directory as it was.
TEST(Line, IsKeptWhereTheStartFails) {
  const TempDir dir;
  ASSERT_EQ(Training::shared().train(1, dir / "run", steps(2)).exit_code, 0);
  const ProgramResult refused =
      Training::shared().train(1, dir / "run", steps(4) + " --resume none --set 'data.sources=[{path: /nowhere}]'");
  EXPECT_EQ(refused.exit_code, 6) << refused.output;
  EXPECT_THAT(list_checkpoints(dir / "run" / "checkpoints"), ElementsAre(2));
}

TEST(Configuration, IsSavedAsItWasResolved) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(1, dir / "run", "--set run.steps=1");
  ASSERT_EQ(run.exit_code, 0) << run.output;
  EXPECT_EQ(read_file(dir / "run" / "resolved.yaml"),
            read_file(dir / "run" / "checkpoints" / checkpoint_name(1) / "config.yaml"));
  EXPECT_THAT(read_file(dir / "run" / "resolved.yaml"), HasSubstr("# from --set"));
}

TEST(Tokenizer, ThatIsAnotherIsRefusedOnAResume) {
  const TempDir dir;
  const fs::path tokenizer = dir / "tokenizer.json";
  fs::copy(Training::shared().tokenizer(), tokenizer);
  const std::string arguments = "--set run.steps=1 --set data.tokenizer=" + tokenizer.string();
  ASSERT_EQ(Training::shared().train(1, dir / "run", arguments).exit_code, 0);
  // Two tokens change places.
  std::string text = read_file(tokenizer);
  const auto place = [&](const std::string& id) { return text.find(": " + id + ",") + 2; };
  ASSERT_NE(place("301"), std::string::npos + 2);
  text[place("301") + 2] = 'x';
  text[place("302") + 2] = '1';
  text[text.find("30x") + 2] = '2';
  write_file(tokenizer, text);
  const ProgramResult run = Training::shared().train(1, dir / "run", arguments);
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("was trained with another tokenizer"), HasSubstr(tokenizer.string()),
                                HasSubstr("tokenizer.json, or start a new run")));
}

}  // namespace
}  // namespace birkhoff::test
