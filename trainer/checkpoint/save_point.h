#pragma once
#include <cstdint>

namespace birkhoff {

// Moments of a save at which a process may die or a disk may fill up.
enum class SavePoint : uint8_t { data, own_written, manifest, rename, published };

// Called by the thread that saves, at each of them. It does nothing in the program. A test that links
// tests/trainer/checkpoint/injected_save_point.cc, whose definition takes its place, can act there.
void reach_save_point(SavePoint point, int rank);

}  // namespace birkhoff
