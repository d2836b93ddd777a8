#pragma once
#include "parallel/comm/communicator.h"
#include "trainer/bench/comm_meter.h"
#include "trainer/bench/report.h"

namespace birkhoff {

// What the ranks of a run spent on communication: for each group and operation, calls, bytes and times per step,
// averaged over the ranks. `steps`: the steps that `meter` has measured. Collective: every rank must have used the same
// groups and operations.
ReportTable communication_table(Communicator& world, const CommMeter& meter, double steps);

}  // namespace birkhoff
