#pragma once
#include <string>

#include "kernels/gemm/precision.h"
#include "parallel/mesh/mesh.h"
#include "trainer/nn/build_options.h"
#include "trainer/nn/frame.h"
#include "trainer/nn/parameter.h"

namespace birkhoff {

// What every module of a model is built with. A module takes from here its products, its slots and its initial values,
// so it names no dtype and no configuration.
struct Build {
  Device device;
  const Mesh* mesh = nullptr;  // the groups of ranks; null where a module is built alone
  Precision precision{Recipe::f32};
  NormOptions norm = {};
  InitOptions init = {};
  int num_slots = 0;  // handed out so far
  // Of what is built next.
  Part part = Part::embedding;
  bool predictor = false;

  template <class T>
  Slot<T> slot() {
    return {num_slots++};
  }
  // The same, for a module whose parameters belong to `next`.
  Build& in(Part next) {
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
  Parameter matrix(std::string name, int64_t out, int64_t in, double scale = 1) const {
    return parameter(std::move(name), {out, in}, Role::matrix, Init::normal(init.std * scale));
  }
};

}  // namespace birkhoff
