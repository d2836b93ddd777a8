#pragma once
#include <string>

#include "parallel/comm/communicator.h"
#include "trainer/config/reader.h"

namespace birkhoff {

// Checks that all ranks run the same program with the same configuration, and that the configuration allows this number
// of ranks. Collective. It must be the first collective of a run, because any other one could hang or mix up data if
// the ranks differ. `program` is the version and digest of the binary.
// Errors: CommError with a table of the ranks and the settings that differ; UserError if the number of ranks does not
// fit the configuration.
void check_same_run(Communicator& world, const Config& config, const std::string& program);

}  // namespace birkhoff
