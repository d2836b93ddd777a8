#pragma once

namespace birkhoff {

// Whether threads of the team should wait asleep: other programs want the cores of the thread that was watched, so that
// whoever spins takes the time of whom it waits for. Judged five times a second, from how long that thread, ready to
// run, had no core.
bool is_crowded();

// In the environment: how threads of a team wait is ours to change, since the user has not chosen it.
inline constexpr const char* kOurThreadWaits = "BIRKHOFF_THREAD_WAITS";

// Whether the system tells: Linux with CONFIG_SCHED_INFO.
bool can_watch_for_crowds();

// Starts the calling thread's team (parallel.h: start_team), then watches the calling thread for as long as the process
// lives, and while it is crowded has the OpenMP library wait asleep at once, unless the user chose otherwise. Only the
// first call of a process watches. Errors: as start_team.
void start_watched_team(int threads);

}  // namespace birkhoff
