#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "data/loader/batch.h"
#include "trainer/step/model.h"
#include "trainer/step/runner.h"

namespace birkhoff::test {

// A few channels of everything: latent attention with a query latent, grouped and shared experts with a balance loss,
// mHC of four streams, Engram with its convolution, two further tokens predicted.
ModelOptions full_options();

struct Variant {
  std::string name;
  ModelOptions options;
};
inline void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }
// The full model and others that together take every path through the modules.
std::vector<Variant> variants();

// One replica's share of a step of `sequences` sequences of odd documents, divided over `ranks`. The tokens depend on
// the seed and on a sequence's place in the whole step only. `padding` masked tokens follow the `length` of a sequence.
struct TinyStep {
  uint64_t seed = 1;
  int64_t sequences = 6, length = 11, microbatch = 2;
  int rank = 0, ranks = 1;
  int64_t padding = 0;
};
StepBatch tiny_batch(const ModelOptions& options, const TinyStep& step);

// Values of the size that training gives them; no gradient vanishes by symmetry as it does at some initial values.
void randomize(Stream& stream, Model& model, uint64_t seed);

// Of one chunk: the forwards of all microbatches, then their backwards.
Program forwards_first(int num_microbatches);

// A model with its memory, and one pass at a time over a batch.
class TinyModel {
 public:
  TinyModel(Device device, const ModelOptions& options, uint64_t seed = 1);

  enum class Work : uint8_t { loss, gradients, evaluation };
  // Sum of all losses. Gradients are left in the parameters and in row_gradient().
  double run(const StepBatch& batch, Work work);
  // The same by a program over the model's stages.
  double run(const StepBatch& batch, const Program& program, Instrument* instrument = nullptr,
             Frame::Mode mode = Frame::Mode::training);
  // Name and elements of every gradient, those of Engram rows last.
  struct Gradient {
    std::string name;
    std::vector<double> values;
  };
  std::vector<Gradient> gradients();
  Tensor row_gradient(size_t layer) const { return row_gradients_[layer]; }
  size_t peak_bytes() const { return runner_->peak_bytes(); }
  const Runner& runner() const { return *runner_; }

  Stream stream;
  Model model;

 private:
  void fetch_rows(const StepBatch& batch);

  std::unique_ptr<Communicator> alone_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Runner> runner_;
  Arena rows_memory_;
  std::vector<Tensor> rows_, row_gradients_;
};

}  // namespace birkhoff::test
