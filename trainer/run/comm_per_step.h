#pragma once
#include <array>
#include <string>
#include <vector>

#include "parallel/comm/traced.h"
#include "parallel/mesh/mesh.h"

namespace birkhoff {

// What a rank sends and how long it waits in a step, by group of the mesh, averaged over the steps between two calls of
// gather(). Saves and evaluations between these steps are included. Groups with the same members count as one, under
// the name of their communicator.
class CommPerStep {
 public:
  explicit CommPerStep(const Trace& trace) : trace_(&trace), before_(totals()) {}

  struct Row {
    std::string group;
    double sent_bytes, waited_s;  // of the rank with the largest number
  };
  void count_step() { ++steps_; }
  // The groups in which some rank has sent anything since the start. Collective; the result is the same on all ranks.
  std::vector<Row> gather(Communicator& world);

 private:
  // Bytes and seconds of each group, in the order of Group.
  using Totals = std::array<double, 2 * kNumGroups>;
  Totals totals() const;

  const Trace* trace_;
  Totals before_;
  std::array<bool, kNumGroups> used_{};
  int64_t steps_ = 0;
};

}  // namespace birkhoff
