#pragma once

namespace birkhoff {

// Whether waiting threads of the team should sleep instead of spin, because other programs compete for the cores: a
// spinning thread then takes the core from the very thread that it waits for. Updated five times a second, from how
// long the watched thread was ready to run but had no core.
bool is_crowded();

// Environment variable that is set if the user has not chosen how OpenMP threads wait, so that this program may choose.
inline constexpr const char* kOurThreadWaits = "BIRKHOFF_THREAD_WAITS";

// Whether the system reports how long a thread waits for a core: Linux with CONFIG_SCHED_INFO.
bool can_watch_for_crowds();

// Starts the calling thread's team (parallel.h: start_team), then watches the calling thread until the process ends.
// While the cores are crowded, makes the OpenMP library put waiting threads to sleep at once, unless the user chose how
// they wait. Only the first call in a process starts watching. Errors: as start_team.
void start_watched_team(int threads);

}  // namespace birkhoff
