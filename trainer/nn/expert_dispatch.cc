#include "trainer/nn/expert_dispatch.h"

#include "trainer/nn/grouped_dispatch.h"
#include "trainer/nn/plain_dispatch.h"

namespace birkhoff {

std::unique_ptr<ExpertDispatch> make_expert_dispatch(Build& build, int64_t channels, const MoeOptions& options) {
  if (!build.mesh || build.mesh->degree(Axis::ep) * build.mesh->degree(Axis::etp) == 1) return nullptr;
  if (build.mesh->dispatch() == Dispatch::grouped) return std::make_unique<GroupedDispatch>(build, channels, options);
  return std::make_unique<PlainDispatch>(build, channels, options);
}

}  // namespace birkhoff
