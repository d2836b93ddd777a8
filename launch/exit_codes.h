#pragma once
// What the process tells the shell; docs/exit_codes.md explains each to those who write job scripts. They never change.
namespace birkhoff {

enum class ExitCode : int {
  done = 0,
  user_error = 2,
  internal_error = 3,
  comm_error = 4,  // a peer lost, a mismatch between ranks, a deadline missed
  nonfinite = 5,   // stopped after k steps in a row without a finite loss and gradient
  data_error = 6,  // no valid checkpoint, or data refused
  unsaved = 74,    // the last checkpoint could not be written
  stopped = 75,    // on request or by the time budget, a checkpoint written: start it again
};

}  // namespace birkhoff
