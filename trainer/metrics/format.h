#pragma once
#include <string>

#include "trainer/metrics/metrics.h"

namespace birkhoff {

// "step: 12/600 | loss: 3.2143 | grad_norm: 0.98" for a step; other events have their name in front: "eval step: 12/600
// | ...". No newline.
std::string text_line(const Record& record, int64_t steps);

// {"event":"step","step":12,"time":1700000000.125,"loss":3.2143}. JSON has no NaN or infinity, so a number that is not
// finite becomes null. No newline.
std::string json_line(const Record& record, double unix_seconds);

// The name of a number in logs, label included: "expert_load_ratio.max".
std::string log_key(const Number& number);

double to_double(const Number& number);
double unix_seconds_now();

}  // namespace birkhoff
