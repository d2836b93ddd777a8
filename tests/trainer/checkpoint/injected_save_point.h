#pragma once
#include "trainer/checkpoint/save_point.h"

namespace birkhoff {

// Sets the function that is called at each save point; nullptr for none.
using SavePointFn = void (*)(SavePoint point, int rank);
void inject_save_point(SavePointFn fn);

}  // namespace birkhoff
