#pragma once
#include "trainer/setting/setting.h"

namespace birkhoff {

struct EvalConfig {
  std::string data;
  int64_t interval = 0;
  int64_t sequences = 0;

  void visit(SettingList& s) {
    s("data", data, "folder of held-out shards; empty: no evaluation").free();
    s("interval", interval, Limits{0, 1e12}, "steps from one evaluation to the next; 0: only when the run ends").free();
    s("sequences", sequences, Limits{0, 1e12}, "sequences of an evaluation, the first ones; 0: all").free();
  }
  bool operator==(const EvalConfig&) const = default;
};

}  // namespace birkhoff
