#pragma once
// Defects that a test switches on by name, to show that the proof of layouts or the delaying transport of the tests
// finds them. Only the test programs that link birkhoff_seeded_defects (tests/CMakeLists.txt) compile sources with
// BIRKHOFF_DEFECTS. In all other programs BK_DEFECT is false, so the compiler removes what depends on it.
#ifdef BIRKHOFF_DEFECTS
#include <string_view>

namespace birkhoff {

// Whether the defect is on. Defined by the test.
bool has_seeded_defect(std::string_view name);

}  // namespace birkhoff

#define BK_DEFECT(name) ::birkhoff::has_seeded_defect(name)
#else
#define BK_DEFECT(name) false
#endif
