#include "parallel/comm/watchdog.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

using ::testing::IsEmpty;

void sleep_s(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// Records why the watchdog expired.
struct Expiry {
  std::mutex mutex;
  std::string why;
  Watchdog::OnExpiry callback() {
    return [this](const std::string& reason) {
      const std::lock_guard lock(mutex);
      why = reason;
    };
  }
  std::string get() {
    const std::lock_guard lock(mutex);
    return why;
  }
};

TEST(Watchdog, NamesThePhaseThatOutlastsItsDeadline) {
  Expiry expiry;
  Watchdog watchdog(expiry.callback());
  const auto scope = watchdog.guard("step 12", 0.1);
  for (int i = 0; i < 200 && expiry.get().empty(); ++i) sleep_s(0.02);
  EXPECT_EQ(expiry.get(), "step 12 did not end within 0.1 s");
}

TEST(Watchdog, IsSilentWithoutScopesWithoutDeadlinesAndWithinThem) {
  Expiry expiry;
  Watchdog watchdog(expiry.callback());
  for (int i = 0; i < 3; ++i) {
    const auto scope = watchdog.guard("step", 5);
    sleep_s(0.05);
  }
  {
    const auto scope = watchdog.guard("start-up", 0);
    sleep_s(0.15);
  }
  sleep_s(0.15);
  EXPECT_THAT(expiry.get(), IsEmpty());
}

TEST(Watchdog, ACheckpointDoesNotUseUpTheDeadlineOfItsStep) {
  Expiry expiry;
  Watchdog watchdog(expiry.callback());
  const auto step = watchdog.guard("step", 0.4);
  {
    const auto checkpoint = watchdog.guard("checkpoint", 60);
    sleep_s(0.6);
  }
  EXPECT_THAT(expiry.get(), IsEmpty());
  for (int i = 0; i < 200 && expiry.get().empty(); ++i) sleep_s(0.02);
  EXPECT_EQ(expiry.get(), "step did not end within 0.4 s");
}

}  // namespace
}  // namespace birkhoff
