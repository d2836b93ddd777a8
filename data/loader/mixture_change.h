#pragma once

namespace birkhoff {

// What to do with a cursor of another seed or mixture: refuse it, or go on where the sources of the same name stand and
// count quotas from here.
enum class MixtureChange { refuse, restart };

}  // namespace birkhoff
