#include "trainer/checkpoint/save_point.h"

namespace birkhoff {

void reach_save_point(SavePoint, int) {}

}  // namespace birkhoff
