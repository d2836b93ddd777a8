#include "trainer/bench/step_worker.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/cpu/crowded.h"
#include "kernels/core/error.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/bench/subject.h"
#include "trainer/step/build.h"

namespace birkhoff {
namespace {

constexpr int kWarmUp = 2;

// The variables from which the OpenMP libraries read how threads wait. launch/thread_waits.cc gives its own defaults to
// those that are not set.
constexpr const char* kWaitVariables[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", kOurThreadWaits};

std::vector<std::string> environment_for(ThreadWaits waits) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view text = *variable;
    bool about_waits = false;
    for (const char* name : kWaitVariables) about_waits = about_waits || text.starts_with(concat(name, '='));
    if (!about_waits) all.emplace_back(text);
  }
  if (waits == ThreadWaits::sleeping) {
    all.emplace_back("OMP_WAIT_POLICY=passive");
    all.emplace_back("KMP_BLOCKTIME=0");
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (std::string& s : strings) all.push_back(s.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

StepWorker::StepWorker(const std::vector<std::string>& command, ThreadWaits waits) {
  std::array<int, 2> requests{}, answers{};
  BK_CHECK(pipe2(requests.data(), O_CLOEXEC) == 0 && pipe2(answers.data(), O_CLOEXEC) == 0,
           "pipe: ", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, requests[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
  std::vector<std::string> arguments = command, environment = environment_for(waits);
  const int refused = posix_spawn(&pid_, command.at(0).c_str(), &actions, nullptr, pointers(arguments).data(),
                                  pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  close(requests[0]);
  close(answers[1]);
  to_ = requests[1];
  from_ = answers[0];
  if (refused != 0) {
    close(to_);
    close(from_);
    throw UserError(concat("cannot start ", command.at(0), ": ", std::strerror(refused)));
  }
}

StepWorker::~StepWorker() {
  close(to_);  // the worker ends when its input ends
  close(from_);
  waitpid(pid_, nullptr, 0);
}

double StepWorker::step() {
  const char request = 0;
  double seconds = 0;
  BK_CHECK(write(to_, &request, 1) == 1 && read(from_, &seconds, sizeof seconds) == sizeof seconds,
           "a process of bench busy ended early; see its error above");
  return seconds;
}

void serve_steps(const BenchOptions& o) {
  start_watched_team(threads_of(o.config));
  const auto world = make_thread_world(1);
  Subject subject(*world.at(0), o.config, device_of(o.config));
  for (int i = 0; i < kWarmUp; ++i) subject.step();
  char request = 0;
  while (read(STDIN_FILENO, &request, 1) == 1) {
    const double seconds = subject.step().step;
    if (write(STDOUT_FILENO, &seconds, sizeof seconds) != sizeof seconds) return;
  }
}

}  // namespace birkhoff
