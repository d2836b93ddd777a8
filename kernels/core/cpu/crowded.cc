#include "kernels/core/cpu/crowded.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <omp.h>
#include <unistd.h>

#include "kernels/core/clock.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "kernels/core/thread.h"

namespace birkhoff {
namespace {

// How often the watched thread is sampled.
constexpr auto kTick = std::chrono::milliseconds(200);
// The cores are crowded if the watched thread was ready to run but had no core for more than this share of a tick. The
// share is about 1 % on a quiet machine, and 50 % if other programs run as many busy processes as there are cores.
// Starting or ending threads, including the idle team, costs up to 10 ms once (5 % of a tick), which must not count as
// crowded.
constexpr double kCrowdedShare = 0.1;
// A tick counts as calm only if the thread ran for more than this share of it: a sleeping thread gives no information.
constexpr double kBusyShare = 0.2;
// Seconds of calm ticks before the cores are no longer considered crowded.
constexpr double kCalmAfter_s = 2;
// If a machine needs more idle threads than this, they cost more than they save.
constexpr int kMaxIdleThreads = 64;

std::atomic<bool> crowded{false};

// Seconds that a thread of this process has run on a core, and seconds that it was ready to run but had none.
struct CoreTime {
  double ran_s = 0, waited_s = 0;
};

// Reads the core times of one thread. The file stays open because the process may have no free descriptor later
// (ulimit -n).
class CoreClock {
 public:
  explicit CoreClock(pid_t thread)
      : file_(open(concat("/proc/self/task/", thread, "/schedstat").c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~CoreClock() {
    if (file_ >= 0) close(file_);
  }
  CoreClock(const CoreClock&) = delete;
  CoreClock& operator=(const CoreClock&) = delete;

  // Returns nullopt if the system does not report these times or the thread has ended.
  std::optional<CoreTime> now() const {
    std::array<char, 128> text{};
    double ran_ns = 0, waited_ns = 0;
    if (file_ < 0 || pread(file_, text.data(), text.size() - 1, 0) <= 0) return std::nullopt;
    if (std::sscanf(text.data(), "%lf %lf", &ran_ns, &waited_ns) != 2) return std::nullopt;
    return CoreTime{ran_ns * 1e-9, waited_ns * 1e-9};
  }

 private:
  int file_;
};

// While its teams have more threads than there are cores, libgomp lets waiting threads spin only for a moment (100
// turns, says its manual) instead of for GOMP_SPINCOUNT turns, which is fixed at start-up. A team of idle threads that
// is started and ended as needed therefore turns long spinning off and on at run time.
class IdleTeam {
 public:
  explicit IdleTeam(int count)
      : thread_(start_thread("lets other threads wait asleep", [this, count] { hold_team(count); })) {}
  ~IdleTeam() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();  // its OpenMP team ends with it
  }
  IdleTeam(const IdleTeam&) = delete;
  IdleTeam& operator=(const IdleTeam&) = delete;

 private:
  void hold_team(int count) {
    try {
      start_team(count + 1);
    } catch (const std::exception&) {
      return;  // the system refuses the threads: waiting threads go on spinning
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ending_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;
};

class Watch {
 public:
  // Together with the team, the idle threads must outnumber the cores.
  explicit Watch(int team_threads)
      : clock_(gettid()),
        idle_threads_(team_threads > 1 && std::getenv(kOurThreadWaits) ? omp_get_num_procs() - team_threads + 1 : 0),
        thread_(start_thread("watches for crowds", [this] { watch(); })) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  void watch() {
    std::unique_ptr<IdleTeam> idle_team;
    std::optional<CoreTime> before = clock_.now();
    double at_s = now_s(), calm_s = kCalmAfter_s;
    std::unique_lock lock(mutex_);
    while (before && !changed_.wait_for(lock, kTick, [this] { return ending_; })) {
      const std::optional<CoreTime> now = clock_.now();
      if (!now) break;
      const double tick_s = now_s() - at_s, ran_s = now->ran_s - before->ran_s,
                   waited_s = now->waited_s - before->waited_s;
      if (waited_s > kCrowdedShare * tick_s) {
        calm_s = 0;
      } else if (ran_s > kBusyShare * tick_s) {
        calm_s += tick_s;  // a tick in which the thread slept does not count as calm
      }
      crowded = calm_s < kCalmAfter_s;
      if (crowded && !idle_team) idle_team = start_idle_team();
      if (!crowded) idle_team.reset();
      before = now;
      at_s += tick_s;
    }
    crowded = false;
  }

  // Returns nullptr if an idle team would not help, or if the system refuses its thread (ulimit -u). The team only
  // saves time, so failing to start it must not end a run.
  std::unique_ptr<IdleTeam> start_idle_team() {
    if (idle_threads_ < 1 || idle_threads_ > kMaxIdleThreads) return nullptr;
    try {
      return std::make_unique<IdleTeam>(idle_threads_);
    } catch (const std::exception&) {
      idle_threads_ = 0;
      return nullptr;
    }
  }

  CoreClock clock_;
  int idle_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

bool is_crowded() { return crowded.load(std::memory_order_relaxed); }

bool can_watch_for_crowds() { return CoreClock(gettid()).now().has_value(); }

void start_watched_team(int threads) {
  start_team(threads);
  static std::mutex mutex;
  static std::unique_ptr<Watch> watch;
  const std::lock_guard lock(mutex);
  if (!watch && can_watch_for_crowds()) watch = std::make_unique<Watch>(threads);
}

}  // namespace birkhoff
