#pragma once
#include <memory>
#include <vector>

#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/thread_world.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {

// A model and its trainer on a single rank.
struct Learner {
  enum class Start : uint8_t {
    initial,  // the initial values of a run
    random,   // values about as large as after training: at the initial ones some gradients are zero by symmetry
  };
  explicit Learner(const ModelOptions& options, Start start = Start::random, DeviceKind device = DeviceKind::cpu)
      : world(make_thread_world(1)),
        mesh(*world[0], {}),
        stream{Device{device}},
        model(make_model({device}, mesh, options)),
        trainer(stream, mesh, model, trainer_options()) {
    if (start == Start::initial) model.initialize(stream, 1);
    if (start == Start::random) set_trained_values(stream, model, 1);
  }

  // The values of every parameter and persistent buffer.
  std::vector<std::vector<double>> values() {
    std::vector<std::vector<double>> all;
    for (const ParameterStore::Entry& e : model.parameters->entries()) {
      all.push_back(read_values(stream, e.parameter->value));
    }
    for (const PersistentBuffer* b : model.parameters->buffers()) all.push_back(read_values(stream, b->value));
    return all;
  }

  static TrainerOptions trainer_options() {
    TrainerOptions t;
    t.optimizer.adamw.weight_decay = 0;
    return t;
  }

  std::vector<std::unique_ptr<Communicator>> world;
  Mesh mesh;
  Stream stream;
  Model model;
  Trainer trainer;
};

// With this speed, the router biases move far enough in a few steps to change the choice of experts.
inline ModelOptions with_fast_bias(ModelOptions options) {
  options.decoder.moe.bias_update_speed = 0.01;
  return options;
}

}  // namespace birkhoff::test
