#pragma once
#include "kernels/core/device.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

struct RunConfig {
  std::string name = "birkhoff";
  std::string dir;
  int64_t seed = 1;
  int64_t steps = 1000;
  DeviceKind device = DeviceKind::cpu;
  int64_t threads = 0;
  double time_budget_s = 0;
  int64_t log_interval = 1;

  void visit(SettingList& s) {
    s("name", name, "name of the run, in logs and in the run record").free();
    s("dir", dir, "directory of all that the run writes; empty: runs/NAME").free();
    s("seed", seed, Limits{0, kMaxInt}, "seed of initial weights and of every random choice but the order of the data");
    s("steps", steps, Limits{0, 1e12}, "optimizer steps of the whole run, resumed parts included")
        .free("a learning-rate decay that ends with the run is stretched or shortened");
    s("device", device, {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::reference},
      "where the model runs; reference computes everything in f64 by plain loops")
        .free();
    s("threads", threads, Limits{0, 4096}, "threads of a rank; 0: the cores of the host divided by its ranks").free();
    s("time_budget_s", time_budget_s, Limits{0, 1e9},
      "seconds after which the run writes a checkpoint and stops with exit code 75; 0: no budget")
        .free();
    s("log_interval", log_interval, Limits{1, 1e9}, "steps from one printed step line to the next").free();
  }
  bool operator==(const RunConfig&) const = default;
};

}  // namespace birkhoff
