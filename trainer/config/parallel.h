#pragma once
#include "parallel/mesh/mesh.h"
#include "trainer/setting/setting.h"

namespace birkhoff {

struct ParallelConfig {
  int64_t dp = 0;
  int64_t tp = 1;
  int64_t pp = 1;
  int64_t cp = 1;
  int64_t ep = 1;
  int64_t etp = 1;
  int64_t engram = 1;
  Dispatch dispatch = Dispatch::plain;
  double timeout_init_s = 300;
  double timeout_step_s = 300;
  double timeout_checkpoint_s = 1800;
  double timeout_eval_s = 1800;

  void visit(SettingList& s) {
    s("dp", dp, Limits{0, 1e6}, "replicas; 0: all ranks that the other degrees leave").free();
    s("tp", tp, Limits{1, 1e6}, "tensor parallel ranks").free();
    s("pp", pp, Limits{1, 1e6}, "pipeline stages; only 1 is available yet").free();
    s("cp", cp, Limits{1, 1e6}, "context parallel ranks; only 1 is available yet").free();
    s("ep", ep, Limits{1, 1e6}, "expert parallel ranks").free();
    s("etp", etp, Limits{1, 1e6}, "ranks that divide the inner width of an expert; etp * ep divides dp * tp * cp")
        .free();
    s("engram", engram, Limits{1, 1e6},
      "ranks that together hold an Engram table, if not all of a stage; only 1, all of them, is available yet")
        .free();
    s.unused_if(ep == 1, "ep is 1", [&] {
      s("dispatch", dispatch,
        "how tokens reach experts of other ranks; grouped: once to each of the router's groups of experts instead of "
        "once to each expert")
          .free();
    });
    s("timeout_init_s", timeout_init_s, Limits{1, 1e6}, "deadline of the start-up, up to the first step").free();
    s("timeout_step_s", timeout_step_s, Limits{1, 1e6},
      "deadline of a step; a step with a value that is not finite takes up to four times as long as others")
        .free();
    s("timeout_checkpoint_s", timeout_checkpoint_s, Limits{1, 1e6}, "deadline of a wait for a checkpoint").free();
    s("timeout_eval_s", timeout_eval_s, Limits{1, 1e6}, "deadline of an evaluation").free();
  }
  bool operator==(const ParallelConfig&) const = default;
};

}  // namespace birkhoff
