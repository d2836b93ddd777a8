#pragma once

namespace birkhoff {

// Whether threads of the team should wait asleep: other programs want the cores of the thread that was watched, so that
// whoever spins takes the time of whom it waits for. Judged some times a second, from how long that thread, ready to
// run, had no core.
bool is_crowded();

// In the environment: how threads of a team wait is ours to change, since the user has not chosen it.
inline constexpr const char* kOurThreadWaits = "BIRKHOFF_THREAD_WAITS";

// Watches the calling thread from now on, and while it is crowded has the OpenMP library wait asleep at once, unless
// the user chose otherwise. Nothing where the system does not tell. Later calls change nothing.
void watch_for_crowds(int team_threads);

}  // namespace birkhoff
