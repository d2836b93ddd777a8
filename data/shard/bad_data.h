#pragma once

namespace birkhoff {

// What to do with a sample or a line that cannot be read: end with an error, or go on without it.
enum class BadData { fail, skip };

}  // namespace birkhoff
