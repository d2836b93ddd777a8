#include <algorithm>
#include <optional>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/cpu/crowded.h"
#include "kernels/core/error.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/scratch_folder.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

constexpr int kWarmUp = 1;
// A save must not spend its timed part on removing older checkpoints.
constexpr int64_t kKeepAll = 1 << 30;

// Writes the same number of bytes from memory to the same directory, by pwrite in blocks of 1 MiB and one fsync.
double plain_write_s(const fs::path& directory, const std::vector<char>& bytes) {
  constexpr size_t kBlock = size_t{1} << 20;
  const fs::path path = directory / "plain";
  const double seconds = seconds_of([&] {
    const BulkFile file = BulkFile::create(path);
    for (size_t done = 0; done < bytes.size(); done += kBlock) {
      file.write(static_cast<int64_t>(done), bytes.data() + done, std::min(bytes.size() - done, kBlock));
    }
    file.sync();
  });
  fs::remove(path);
  return seconds;
}

class Saves {
 public:
  Saves(Communicator& alone, Subject& subject, const fs::path& directory)
      : subject_(subject),
        directory_(directory),
        writer_(alone, device_of(subject.config()), {directory, kKeepAll, true}) {}

  // A save while nothing else runs.
  SaveReport quiet() {
    begin();
    return removed(writer_.finish());
  }
  // A save during training: the forward and backward of the first step run while the state is copied, and further steps
  // follow until the save ends. Appends the times of these steps to `steps`.
  SaveReport training(std::vector<double>& steps) {
    begin();
    std::optional<SaveReport> report;
    while (!report) {
      steps.push_back(subject_.step([&] { writer_.wait_copied(); }).step);
      report = writer_.poll();
    }
    return removed(report);
  }

 private:
  void begin() {
    writer_.begin(++saves_, [&](StateVisitor& v) { subject_.trainer().state(v); }, {});
  }
  // Removes the checkpoint outside of the timed part, because the plain write has no older file to remove in its time.
  SaveReport removed(const std::optional<SaveReport>& report) const {
    if (!report || !report->saved)
      throw DataError("the checkpoint was not saved: " + (report ? report->error : std::string("no report")));
    fs::remove_all(directory_ / checkpoint_name(report->step));
    return *report;
  }

  Subject& subject_;
  fs::path directory_;
  CheckpointWriter writer_;
  int64_t saves_ = 0;
};

}  // namespace

Report bench_checkpoint(Communicator& alone, const BenchOptions& o) {
  start_watched_team(threads_of(o.config));
  const ScratchFolder folder(o.directory);
  Subject subject(alone, o.config, device_of(o.config));
  subject.step();
  Saves saves(alone, subject, folder.path());
  const int64_t bytes = saves.quiet().bytes;
  const std::vector<char> plain_bytes(static_cast<size_t>(bytes), 'x');
  std::vector<double> speed, blocked, blocked_s, save_s, plain_s, copy_s, write_s, during, quiet;
  for (int64_t i = 0; i < o.rounds + kWarmUp; ++i) {
    const SaveReport still = saves.quiet();
    const double plain = plain_write_s(folder.path(), plain_bytes);
    quiet.push_back(subject.step().step);
    const SaveReport busy = saves.training(during);
    if (i < kWarmUp) continue;
    speed.push_back(plain / still.write_s);
    blocked.push_back(busy.blocked_s / busy.write_s);
    blocked_s.push_back(busy.blocked_s);
    save_s.push_back(still.write_s);
    plain_s.push_back(plain);
    copy_s.push_back(busy.copy_s);
    write_s.push_back(busy.write_s);
  }
  Report report{"checkpoint", {}, {}, {}};
  report.add("checkpoint_over_plain_write", median(speed), "",
             "bytes/s of a save, over pwrite and one fsync of as many");
  report.add("blocked_over_write", median(blocked), "", "time the training thread waited, over the time of the write");
  report.add("bytes", static_cast<double>(bytes), "bytes", "of the state saved");
  report.add("checkpoint_bytes_per_second", static_cast<double>(bytes) / median(save_s), "bytes/s",
             "saved and published");
  report.add("plain_bytes_per_second", static_cast<double>(bytes) / median(plain_s), "bytes/s", "written plainly");
  report.add("blocked_seconds", median(blocked_s), "s", "waited by the training thread, for one save");
  report.add("copy_duration_seconds", median(copy_s), "s", "until the state was copied, behind forward and backward");
  report.add("write_duration_seconds", median(write_s), "s",
             "from then to the published checkpoint, with training beside it");
  report.add("step_during_save_over_step", median(during) / median(quiet), "",
             "time of a step that shares the cores with a save");
  return report;
}

}  // namespace birkhoff
