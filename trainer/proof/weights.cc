#include "trainer/proof/weights.h"

#include <cmath>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

double spread_of(const Parameter& p) {
  if (p.name.ends_with(".fn")) return 0.1;
  if (p.name.ends_with(".base")) return 0.5;
  switch (p.role) {
    case Role::matrix:
    case Role::experts:
    case Role::head:
      return 1.5 / std::sqrt(static_cast<double>(p.shape.back()));
    case Role::embedding:
      return 1;
    case Role::conv:
      return 0.5;
    default:
      return 0.2;
  }
}

// The values of the held part, each drawn at its element of the logical tensor.
void set_values(Stream& stream, Tensor to, const Slice& held, const Philox& random, double mean, double spread) {
  std::vector<double> values(static_cast<size_t>(to.count()));
  held.for_each_run([&](int64_t first, int64_t local, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      values[static_cast<size_t>(local + i)] = mean + spread * random.normal(static_cast<uint64_t>(first + i));
    }
  });
  write_values(stream, to, values);
}

}  // namespace

void set_trained_values(Stream& stream, Model& model, uint64_t seed) {
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    const bool around_one = p.role == Role::gain || p.name.ends_with(".scale");
    set_values(stream, p.value, p.held, Philox(seed, key_of(p.name)), around_one ? 1 : 0, spread_of(p));
  }
  for (PersistentBuffer* b : model.parameters->buffers()) {
    set_values(stream, b->value, Slice::all(b->shape), Philox(seed, key_of(b->name)), 0, 0.2);
  }
  for (auto& table : model.tables) table->initialize(stream, seed, 1);
  model.parameters->values_changed();
}

}  // namespace birkhoff
