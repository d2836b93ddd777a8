#pragma once
#include "trainer/checkpoint/save_point.h"

namespace birkhoff {

// What to do at the moments of a save; nullptr for nothing.
using SavePointFn = void (*)(SavePoint point, int rank);
void inject_save_point(SavePointFn fn);

}  // namespace birkhoff
