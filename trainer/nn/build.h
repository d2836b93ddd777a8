#pragma once
#include <string>

#include "kernels/gemm/precision.h"
#include "parallel/mesh/mesh.h"
#include "trainer/nn/build_options.h"
#include "trainer/nn/frame.h"
#include "trainer/nn/moe_options.h"
#include "trainer/nn/parameter.h"

namespace birkhoff {

// Passed to the constructor of every module. Modules get their matrix products, slots and initial values from it, so
// they need not know dtypes or the config.
struct Build {
  Device device;
  const Mesh* mesh = nullptr;  // the groups of ranks; null if a module is built alone, as in tests
  Precision precision{Recipe::f32};
  NormOptions norm = {};
  InitOptions init = {};
  Payloads payloads = {};
  int num_slots = 0;  // handed out so far
  // Properties of the parameters that are built next.
  Part part = Part::embedding;
  bool predictor = false;

  template <class T>
  Slot<T> slot() {
    return {num_slots++};
  }
  // The parameters that are built from here on belong to `next`.
  Build& set_part(Part next) {
    part = next;
    return *this;
  }
  Parameter parameter(std::string name, Shape shape, Role role, Init start) const {
    Parameter p;
    p.name = std::move(name);
    p.shape = shape;
    p.role = role;
    p.init = std::move(start);
    p.part = part;
    p.predictor = predictor;
    return p;
  }
  // The shape of the part of a parameter that this rank holds. Modules need it before the parameter store binds the
  // value, to make the matrix products of this part. A module that is built alone holds everything.
  Shape held_shape(const Parameter& p) const {
    return mesh ? held_by(mesh->place(), p.shape, p.division).shape : p.shape;
  }
  Parameter matrix(std::string name, int64_t out, int64_t in, double scale = 1) const {
    return parameter(std::move(name), {out, in}, Role::matrix, Init::normal(init.std * scale));
  }
};

}  // namespace birkhoff
