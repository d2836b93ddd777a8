// A dataset from before dataset.json had checksums is still read, verified and trained on with the same losses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

TEST(OldDataset, LoadsVerifiesAndTrainsToTheSameLosses) {
  const std::filesystem::path source = std::getenv("BIRKHOFF_SOURCE_DIR");
  const auto kept = source / "tests/e2e/old_dataset", inputs = source / "tests/cases/reordered_corpus";
  const TempDir dir;
  std::filesystem::copy(inputs, dir.path());
  std::filesystem::create_directories(dir / "data" / "train");
  std::filesystem::create_directories(dir / "data" / "heldout");
  std::filesystem::copy_file(kept / "dataset.json", dir / "data" / "dataset.json");
  const auto program = [&](const std::string& arguments) {
    return run_program("env -C " + dir.path().string() + " " + arguments);
  };
  const std::string birkhoff = BIRKHOFF_PROGRAM;
  ASSERT_EQ(program("base64 -d " + (kept / "shard-00000.h5.base64").string() + " > " +
                    (dir / "data/train/shard-00000.h5").string())
                .exit_code,
            0);
  const ProgramResult verified = program(birkhoff + " data verify data");
  EXPECT_EQ(verified.exit_code, 0) << verified.output;
  EXPECT_THAT(verified.output, HasSubstr("all 4 samples are intact"));
  const ProgramResult trained = program(birkhoff + " train train.yaml");
  ASSERT_EQ(trained.exit_code, 0) << trained.output;
  // The losses computed by the program that made the dataset; the last digits depend on the processor.
  const std::vector<double> expected{5.57115, 5.54763, 5.55082, 5.53015};
  const std::vector<double> found = losses(trained.output);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 2e-5) << i;
}

}  // namespace
}  // namespace birkhoff::test
