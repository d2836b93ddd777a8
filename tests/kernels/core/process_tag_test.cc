#include "kernels/core/process_tag.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

std::string tag_of(int pid) {
  const std::string mine = process_tag();
  return mine.substr(0, mine.rfind('-') + 1) + std::to_string(pid);
}

TEST(ProcessTag, TellsWhetherAProcessHasEnded) {
  EXPECT_FALSE(has_ended(process_tag()));
  const int pid = ::fork();
  if (pid == 0) {
    ::pause();
    ::_exit(0);
  }
  EXPECT_FALSE(has_ended(tag_of(pid)));
  ::kill(pid, SIGKILL);
  siginfo_t ended;
  ::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT);
  EXPECT_TRUE(has_ended(tag_of(pid))) << "though its parent has not heard of it yet";
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(has_ended(".name." + tag_of(pid)));
  EXPECT_FALSE(is_alive(pid));
}

TEST(ProcessTag, SaysNothingAboutOtherHostsAndNamespaces) {
  const std::string mine = process_tag(), here = tag_of(1).substr(0, tag_of(1).size() - 1);
  for (const std::string& name :
       {std::string(), std::string("17"), here, here + "x", here + "0", here + "-1", here + "99999999999999999999",
        here + "4194304.tmp", concat("birkhoff-elsewhere-1-", 4194304),
        concat("birkhoff-", host_name(), "-1-4194304")}) {
    EXPECT_FALSE(has_ended(name)) << name;
  }
}

}  // namespace
}  // namespace birkhoff
