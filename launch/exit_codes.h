#pragma once
// The exit codes of the program. docs/exit_codes.md explains them to those who write job scripts, so they never change.
namespace birkhoff {

enum class ExitCode : int {
  done = 0,
  user_error = 2,
  internal_error = 3,
  comm_error = 4,    // a lost peer, a mismatch between ranks, or a missed deadline
  nonfinite = 5,     // too many skipped steps, or a state or evaluation loss that is not finite
  data_error = 6,    // no valid checkpoint, or data refused
  failed_cases = 7,  // the command ran to its end, and at least one of its cases failed
  unsaved = 74,      // the last checkpoint could not be written
  stopped = 75,      // stopped on request or by the time budget, with a checkpoint written: start it again
};

}  // namespace birkhoff
