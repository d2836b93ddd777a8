#include "parallel/comm/first_ranks.h"

#include <exception>

#include "kernels/core/error.h"
#include "parallel/comm/agree.h"

namespace birkhoff {

void run_on_first_ranks(Communicator& world, int ranks, const std::function<void(Communicator&)>& body) {
  BK_ASSERT(ranks >= 1 && ranks <= world.size(), ranks, " of ", world.size());
  const bool takes_part = world.rank() < ranks;
  std::exception_ptr error;
  {
    const auto group = world.split(takes_part ? 0 : 1, world.rank(), "layout");
    try {
      if (takes_part) body(*group);
    } catch (const std::exception& e) {
      if (ranks > 1 && !is_agreed(e)) throw;
      error = std::current_exception();
    }
  }
  agree(world, [&] {
    if (error) std::rethrow_exception(error);
  });
}

}  // namespace birkhoff
