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

constexpr auto kTick = std::chrono::milliseconds(200);
// Of a tick without a core. On a quiet machine it is about a hundredth; beside as many busy processes as there are
// cores, a half. Threads that start or end, the guests among them, cost up to 10 ms once, which must not count.
constexpr double kCrowdedShare = 0.1;
constexpr double kBusyShare = 0.2;
constexpr double kCalmAfter_s = 2;
// More idle threads than that are not worth it.
constexpr int kMostGuests = 64;

std::atomic<bool> crowded{false};

// Seconds that a thread of this process had a core, and that it was ready to run and had none.
struct CoreTime {
  double ran_s = 0, waited_s = 0;
};

// The one thread's times. Its file stays open, since a run may have no descriptor left later (ulimit -n).
class CoreClock {
 public:
  explicit CoreClock(pid_t thread)
      : file_(open(concat("/proc/self/task/", thread, "/schedstat").c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~CoreClock() {
    if (file_ >= 0) close(file_);
  }
  CoreClock(const CoreClock&) = delete;
  CoreClock& operator=(const CoreClock&) = delete;

  // Nothing where the system does not tell, or the thread has ended.
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

// libgomp spins by GOMP_SPINCOUNT, but for a moment only while there are more threads in teams than cores (its manual:
// 100 turns). That can be changed while it runs: by a team of idle threads that comes and goes.
class Guests {
 public:
  explicit Guests(int count)
      : thread_(start_thread("lets other threads wait asleep", [this, count] { stay(count); })) {}
  ~Guests() {
    {
      const std::lock_guard lock(mutex_);
      leave_ = true;
    }
    changed_.notify_all();
    thread_.join();  // and with it its team ends
  }
  Guests(const Guests&) = delete;
  Guests& operator=(const Guests&) = delete;

 private:
  void stay(int count) {
    try {
      start_team(count + 1);
    } catch (const std::exception&) {
      return;  // no more threads are to be had: they go on spinning
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return leave_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool leave_ = false;
  std::thread thread_;
};

class Watch {
 public:
  explicit Watch(int team_threads)
      : clock_(gettid()),
        guests_(team_threads > 1 && std::getenv(kOurThreadWaits) ? omp_get_num_procs() - team_threads + 1 : 0),
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
    std::unique_ptr<Guests> guests;
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
        calm_s += tick_s;  // of a thread that sleeps nothing is known
      }
      crowded = calm_s < kCalmAfter_s;
      if (crowded && !guests) guests = invited();
      if (!crowded) guests.reset();
      before = now;
      at_s += tick_s;
    }
    crowded = false;
  }

  // Nobody where there is no use for guests, or the system refuses the thread that brings them (ulimit -u): they only
  // save time, so that no run ends for want of them.
  std::unique_ptr<Guests> invited() {
    if (guests_ < 1 || guests_ > kMostGuests) return nullptr;
    try {
      return std::make_unique<Guests>(guests_);
    } catch (const std::exception&) {
      guests_ = 0;
      return nullptr;
    }
  }

  CoreClock clock_;
  int guests_;
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
