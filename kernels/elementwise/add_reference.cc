#include "kernels/elementwise/add.h"

namespace birkhoff::reference {

void add(const AddArgs& a) {
  for (int64_t i = 0; i < a.y.count(); ++i) {
    a.y.as<double>()[i] = a.alpha * a.a.as<double>()[i] + a.beta * a.b.as<double>()[i];
  }
}

void scale(const ScaleArgs& a) {
  const double factor = a.alpha * (a.factor.present() ? *a.factor.as<double>() : 1);
  for (int64_t i = 0; i < a.y.count(); ++i) a.y.as<double>()[i] = factor * a.x.as<double>()[i];
}

}  // namespace birkhoff::reference
