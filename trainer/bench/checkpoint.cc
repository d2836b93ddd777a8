#include <algorithm>
#include <optional>

#include "data/file/scratch_folder.h"
#include "data/hdf5/bulk_file.h"
#include "kernels/core/cpu/crowded.h"
#include "kernels/core/error.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/subject.h"
#include "trainer/bench/timing.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

constexpr int kWarmUp = 1;
// Keeps all checkpoints, so that the measured time of a save does not include removing older ones.
constexpr int64_t kKeepAll = 1 << 30;

// Returns the seconds that it takes to write `bytes` to a file in the directory, with pwrite in blocks of 1 MiB and one
// fsync.
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
  Saves(Communicator& self, Subject& subject, const fs::path& directory)
      : subject_(subject),
        directory_(directory),
        writer_(self, device_of(subject.config()), {directory, kKeepAll, true}) {}

  // A save while nothing else runs.
  SaveReport quiet() {
    begin();
    return check_and_remove(writer_.finish());
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
    return check_and_remove(report);
  }

 private:
  void begin() {
    writer_.begin(++saves_, [&](StateVisitor& v) { subject_.trainer().state(v); }, {});
  }
  // Checks that the checkpoint was saved, removes it and returns the report. The removal is not timed, since the plain
  // write removes no file while it is timed either.
  SaveReport check_and_remove(const std::optional<SaveReport>& report) const {
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

Report bench_checkpoint(Communicator& self, const BenchOptions& o) {
  start_watched_team(threads_of(o.config));
  const ScratchFolder folder(o.directory);
  Subject subject(self, o.config, device_of(o.config));
  subject.step();
  Saves saves(self, subject, folder.path());
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
             "speed of a save, divided by that of pwrite and one fsync of as many bytes");
  report.add("blocked_over_write", median(blocked), "",
             "time that the training thread waited, divided by the time of the write");
  report.add("bytes", static_cast<double>(bytes), "bytes", "size of the saved state");
  report.add("checkpoint_bytes_per_second", static_cast<double>(bytes) / median(save_s), "bytes/s", "speed of a save");
  report.add("plain_bytes_per_second", static_cast<double>(bytes) / median(plain_s), "bytes/s",
             "speed of a plain write");
  report.add("blocked_seconds", median(blocked_s), "s", "time that the training thread waited for one save");
  report.add("copy_duration_seconds", median(copy_s), "s",
             "time until the state was copied, during forward and backward");
  report.add("write_duration_seconds", median(write_s), "s",
             "time from then until the checkpoint was published, during training");
  report.add("step_during_save_over_step", median(during) / median(quiet), "",
             "step time during a save, divided by that without one");
  return report;
}

}  // namespace birkhoff
