#pragma once
#include <cstdint>
#include <string>

namespace birkhoff {

// 671026419200 -> "671,026,419,200"
std::string grouped(int64_t value);

}  // namespace birkhoff
