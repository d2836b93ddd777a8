// A hundred kills at seeded moments of a save. Afterwards the directory must hold a valid checkpoint: either the one
// last reported as saved or the one that was being saved, whole, and never a mixture of two.
#include <random>
#include <sstream>

#include "tests/support/program.h"
#include "tests/trainer/checkpoint/saves.h"

namespace birkhoff {
namespace {

// The seed of the contents that the directory holds, or 0 if it holds none. Compares every tensor after loading it on
// `ranks` ranks.
int64_t seed_in(const std::filesystem::path& directory, int ranks) {
  std::atomic<int64_t> seed = 0;
  run_ranks(ranks, [&](Communicator& comm) {
    RankedState state(comm.rank(), ranks, -1);
    const auto found = find_newest_valid(comm, directory);
    if (!found) return;
    load_checkpoint(comm, found->path, found->manifest, Device{}, state.visitor());
    EXPECT_THAT(state.differences(state.seed_loaded()), testing::IsEmpty());
    EXPECT_EQ(read_attachment(found->path, "config.yaml"), concat(state.seed_loaded()));
    EXPECT_THAT(found->passed_over, testing::IsEmpty());
    seed = state.seed_loaded();
  });
  return seed;
}

class Kill : public testing::Test {
 protected:
  // Runs kill_rank until it dies, and checks what it leaves behind. The next call uses the same directory, so that
  // leftovers are part of the test.
  void kill(const std::string& launch, const std::string& arguments) {
    SCOPED_TRACE(arguments);
    const auto result = test::run_program("timeout -s KILL 20 " + launch + BIRKHOFF_KILL_RANK " " +
                                          dir_.path().string() + " " + arguments + " < /dev/null");
    std::istringstream lines(result.output);
    std::string word;
    int64_t number = 0, reported = -1;
    while (lines >> word) {
      if ((word == "from" || word == "saved") && lines >> number) reported = number;
      ASSERT_NE(word, "error:") << result.output;
    }
    ASSERT_GE(reported, 0) << result.output;
    EXPECT_EQ(result.exit_code, 137) << result.output;
    const int64_t seed = seed_in(dir_.path(), 1 + static_cast<int>(random_() % 3));
    EXPECT_TRUE(seed == reported || seed == reported + 1) << "found " << seed << ", last reported " << reported;
    newer_ += seed == reported + 1;
    kills_ += 1;
  }
  int random_below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  std::mt19937 random_{20240607};
  const TempDir dir_;
  int kills_ = 0, newer_ = 0;
};

TEST_F(Kill, AllRanksAtRandomMoments) {
  for (int i = 0; i < 40; ++i) kill("", concat("2 next time 0 ", 1 + random_below(90'000)));
}

TEST_F(Kill, AllRanksWhileTheSameStepIsReplaced) {
  for (int i = 0; i < 24; ++i) kill("", concat("2 same time 0 ", 1 + random_below(90'000)));
}

// The points lie before a rank writes, between the data files, before the manifest, before the rename, and after it.
TEST_F(Kill, AllRanksAtEveryPointOfASave) {
  for (const char* mode : {"next", "same"}) {
    for (const char* point : {"data", "own_written", "manifest", "rename", "published"}) {
      for (const int count : {1, 2}) {
        const int newer = newer_;
        kill("", concat("2 ", mode, ' ', point, " 0 ", count));
        EXPECT_EQ(newer_ - newer, std::string(point) == "published") << point;
      }
    }
    std::filesystem::remove_all(dir_.path());
    std::filesystem::create_directory(dir_.path());
  }
  EXPECT_EQ(kills_, 20);
}

TEST_F(Kill, OneRankOfSeveralProcesses) {
  const std::string launch = test::mpirun(2);
  for (int i = 0; i < 12; ++i) kill(launch, concat("0 next time ", i % 2, ' ', 1 + random_below(300'000)));
  for (const char* point : {"data", "own_written"}) kill(launch, concat("0 next ", point, " 1 2"));
  for (const char* point : {"manifest", "rename"}) kill(launch, concat("0 next ", point, " 0 2"));
}

}  // namespace
}  // namespace birkhoff
