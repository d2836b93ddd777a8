#pragma once
#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/trainer/checkpoint/ranked_state.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/checkpoint/writer.h"

namespace birkhoff {

inline const std::map<std::string, std::string> kAttachments{{"config.yaml", "run:\n  steps: 3\n"},
                                                             {"tokenizer.json", "{}"}};

// Saves fill(seed) once on `ranks` ranks; the save must succeed.
inline void save_once(int ranks, const std::filesystem::path& directory, int64_t step, int64_t seed,
                      int64_t keep = 10) {
  run_ranks(ranks, [&](Communicator& comm) {
    RankedState state(comm.rank(), ranks, seed);
    CheckpointWriter writer(comm, Device{}, {directory, keep, true});
    writer.begin(step, state.visitor(), kAttachments);
    const auto report = writer.finish();
    if (!report || !report->saved) throw DataError(report ? report->error : "no report");
  });
}

// Loads the newest valid checkpoint on `ranks` ranks and returns it, or nullopt if there is none. Every rank must then
// hold fill(seed_of(step)).
inline std::optional<Found> load_newest(int ranks, const std::filesystem::path& directory,
                                        const std::function<int64_t(int64_t)>& seed_of) {
  std::optional<Found> result;
  run_ranks(ranks, [&](Communicator& comm) {
    RankedState state(comm.rank(), ranks, -1);
    std::optional<Found> found = find_newest_valid(comm, directory);
    if (!found) return;
    load_checkpoint(comm, found->path, found->manifest, Device{}, state.visitor());
    EXPECT_THAT(state.differences(seed_of(found->manifest.step)), testing::IsEmpty()) << "rank " << comm.rank();
    if (comm.rank() == 0) result = std::move(found);
  });
  return result;
}

// The message of the E that `call` throws; the test fails if it throws another error or none.
template <class E>
std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another error: " << e.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace birkhoff
