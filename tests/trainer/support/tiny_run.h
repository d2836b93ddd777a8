#pragma once
// A short training run of the tiny model on ranks that are threads.
#include <functional>
#include <vector>

#include "parallel/mesh/mesh.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/proof/whole.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {

constexpr int64_t kSequences = 4, kLength = 11;

struct TinyRun {
  ModelOptions model = full_options();
  DeviceKind device = DeviceKind::reference;
  MeshDegrees degrees = {};
  int ranks = 1, steps = 3;
  int64_t length = kLength;
  std::function<void(Stream&, Model&)> prepare = {};         // once, before the steps
  std::function<void(StepBatch&, const Mesh&)> change = {};  // every batch
};

// A rank with its part of the model.
struct TinyRank {
  TinyRank(Communicator& world, const TinyRun& setup);
  StepBatch batch(const TinyRun& setup, int step) const;
  Mesh mesh;
  Stream stream;
  Model model;
  Trainer trainer;
};

struct TinyOutcome {
  std::vector<StepReport> reports;
  std::vector<double> nats;  // of an evaluation before each step
  Whole state;
};

// Runs the steps on all ranks, which must all report the same.
TinyOutcome train(const TinyRun& setup);

// Losses within `bound`, norms and gains within 10 times it, weights and moments within 100 times it.
void expect_near(const TinyOutcome& actual, const TinyOutcome& one, double bound);

}  // namespace birkhoff::test
