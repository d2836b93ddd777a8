// Which folders count as checkpoints, which ones are kept, and how leftovers of killed saves are handled.
#include "trainer/checkpoint/directory.h"

#include <unistd.h>

#include "tests/trainer/checkpoint/saves.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;

std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

int64_t same(int64_t step) { return step; }

TEST(CheckpointDirectory, ListsFoldersByTheirExactName) {
  const TempDir dir;
  for (const char* name : {"step-00000300", "step-00000020", "step-123456789", "step-20", "step-", "step-00000020x",
                           ".unfinished-step-00000040", "step--0000001", "other"}) {
    std::filesystem::create_directory(dir / name);
  }
  EXPECT_THAT(list_checkpoints(dir.path()), ElementsAre(20, 300, 123456789));
}

TEST(CheckpointDirectory, AMissingDirectoryHoldsNoCheckpoints) {
  EXPECT_THAT(list_checkpoints("/nowhere/at/all"), testing::IsEmpty());
  EXPECT_FALSE(load_newest(2, "/nowhere/at/all", same));
}

TEST(CheckpointDirectory, AFileInItsPlaceIsAnErrorAndNotANewStart) {
  const TempDir dir;
  write_file(dir / "file", "x");
  EXPECT_THAT(message_of<DataError>([&] { list_checkpoints(dir / "file"); }), testing::HasSubstr("cannot be read"));
}

TEST(CheckpointDirectory, KeepsTheNewestK) {
  const TempDir dir;
  for (const int64_t step : {1, 2, 3, 4, 5}) save_once(2, dir.path(), step, step, 2);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000004", "step-00000005"));
  EXPECT_EQ(load_newest(3, dir.path(), same)->manifest.step, 5);
}

// A run that fell back past a damaged checkpoint saves an earlier step than the damaged one. The damaged one must not
// push out the only valid checkpoint.
TEST(CheckpointDirectory, KeepsTheOneJustSavedWhateverLaterStepsThereAre) {
  const TempDir dir;
  for (const int64_t step : {10, 20, 30}) save_once(1, dir.path(), step, step, 3);
  std::filesystem::remove(dir.path() / "step-00000030" / "manifest.json");
  save_once(1, dir.path(), 25, 25, 1);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000025", "step-00000030"));
  EXPECT_EQ(load_newest(1, dir.path(), same)->manifest.step, 25);
}

TEST(CheckpointDirectory, WhatARunDoesNotGoOnFromIsSetAsideAndNeverLost) {
  const TempDir dir;
  for (const char* name : {"step-00000010", "step-00000020", "step-00000030", ".replaced-step-00000030",
                           ".unfinished-step-00000040", "abandoned-step-00000020", "other"}) {
    std::filesystem::create_directory(dir / name);
  }
  EXPECT_THAT(set_aside(dir.path(), 10), ElementsAre(dir / "abandoned-step-00000030", dir / "abandoned-step-00000020.2",
                                                     dir / "abandoned-step-00000030.2"));
  EXPECT_THAT(list_checkpoints(dir.path()), ElementsAre(10));
  EXPECT_THAT(names_in(dir.path()),
              ElementsAre(".unfinished-step-00000040", "abandoned-step-00000020", "abandoned-step-00000020.2",
                          "abandoned-step-00000030", "abandoned-step-00000030.2", "other", "step-00000010"));
  EXPECT_EQ(set_aside(dir.path(), -1).size(), 1u);
  EXPECT_THAT(set_aside("/nowhere/at/all", -1), testing::IsEmpty());
}

TEST(CheckpointDirectory, UnfinishedFoldersAreIgnoredAndRemovedByTheNextSave) {
  const TempDir dir;
  save_once(2, dir.path(), 10, 10);
  std::filesystem::copy(dir / "step-00000010", dir / ".unfinished-step-00000020");
  write_file(dir / ".unfinished-step-00000030" / "rank-00007.h5", "half");
  EXPECT_EQ(load_newest(2, dir.path(), same)->manifest.step, 10);
  save_once(2, dir.path(), 30, 30);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000010", "step-00000030"));
  EXPECT_THAT(stray_files(dir / "step-00000030", open_checkpoint(dir / "step-00000030")), testing::IsEmpty());
}

TEST(CheckpointDirectory, WhatKilledSavesLeftIsTidiedUp) {
  const TempDir dir;
  save_once(1, dir.path(), 10, 1);
  std::filesystem::copy(dir / "step-00000010", dir / ".replaced-step-00000010");
  std::filesystem::copy(dir / "step-00000010", dir / ".replaced-step-00000020");
  write_file(dir / ".unfinished-step-00000030" / "rank-00007.h5", "half");
  write_file(dir / ".unfinished-notes" / "mine", "not ours");
  tidy(dir.path());
  EXPECT_THAT(names_in(dir.path()), ElementsAre(".unfinished-notes", "step-00000010", "step-00000020"));
  tidy("/nowhere/at/all");
}

// The folder has a checkpoint's name, but only a manifest makes it a checkpoint.
TEST(CheckpointDirectory, AFolderWithoutAManifestIsNeverPruned) {
  const TempDir dir;
  write_file(dir / "step-00000001" / "notes", "somebody's");
  for (const int64_t step : {2, 3, 4}) save_once(1, dir.path(), step, step, 1);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000001", "step-00000004"));
}

TEST(CheckpointDirectory, OfAStepSavedTwiceTheLaterIsKept) {
  const TempDir dir;
  save_once(2, dir.path(), 10, 1);
  save_once(3, dir.path(), 10, 2);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000010"));
  EXPECT_TRUE(load_newest(2, dir.path(), [](int64_t) { return 2; }));
}

// If the file system cannot exchange two names, a kill may come between the two renames.
TEST(CheckpointDirectory, AHalfReplacedCheckpointIsFoundAndGetsItsNameBack) {
  const TempDir dir;
  save_once(2, dir.path(), 10, 1);
  std::filesystem::rename(dir / "step-00000010", dir / ".replaced-step-00000010");
  EXPECT_TRUE(load_newest(2, dir.path(), [](int64_t) { return 1; }));
  save_once(2, dir.path(), 11, 2);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000010", "step-00000011"));
}

TEST(CheckpointDirectory, AReplacedCheckpointThatWasLeftBehindIsRemoved) {
  const TempDir dir;
  save_once(1, dir.path(), 10, 1);
  std::filesystem::copy(dir / "step-00000010", dir / ".replaced-step-00000010");
  save_once(1, dir.path(), 11, 2);
  EXPECT_THAT(names_in(dir.path()), ElementsAre("step-00000010", "step-00000011"));
}

}  // namespace
}  // namespace birkhoff
