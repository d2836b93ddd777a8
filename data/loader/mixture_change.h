#pragma once

namespace birkhoff {

// What to do with a cursor of another seed or mixture: refuse it, or restart the quotas and let every source with a
// name in the cursor continue at its recorded position.
enum class MixtureChange { refuse, restart };

}  // namespace birkhoff
