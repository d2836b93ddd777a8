#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

struct CheckpointConfig {
  std::string dir;
  int64_t interval = 1000;
  int64_t keep = 3;
  bool async = true;
  std::string resume = "auto";

  void visit(SettingList& s) {
    s("dir", dir, "directory of the checkpoints; empty: checkpoints in run.dir").free();
    s("interval", interval, Limits{0, 1e12}, "steps from one checkpoint to the next; 0: only when the run ends").free();
    s("keep", keep, Limits{1, 1e6}, "newest checkpoints that are kept").free();
    s("async", async, "written by another thread while training goes on").free();
    s("resume", resume, "auto: from the newest valid checkpoint in dir, if any; none: from step 0; or a checkpoint")
        .free();
  }
  bool operator==(const CheckpointConfig&) const = default;
};

}  // namespace birkhoff
