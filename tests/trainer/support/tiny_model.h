#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "data/loader/batch.h"
#include "trainer/proof/weights.h"
#include "trainer/step/model.h"
#include "trainer/step/runner.h"

namespace birkhoff::test {

// A tiny model that has every part: latent attention with a query latent, grouped and shared experts with a balance
// loss, mHC with four streams, Engram with its convolution, and two MTP predictors.
ModelOptions full_options();

struct Variant {
  std::string name;
  ModelOptions options;
};
inline void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }
// The full model and others, which together cover every path through the modules.
std::vector<Variant> variants();

// One replica's share of a step of `sequences` sequences, which are divided over `ranks`. Documents have random
// lengths. The tokens depend only on the seed and on the index of a sequence in the whole step. Each sequence has
// `length` tokens followed by `padding` masked tokens.
struct TinyStep {
  uint64_t seed = 1;
  int64_t sequences = 6, length = 11, microbatch = 2;
  int rank = 0, ranks = 1;
  int64_t padding = 0;
};
StepBatch tiny_batch(const ModelOptions& options, const TinyStep& step);
// A microbatch without sequences, otherwise like the given one.
Batch without_sequences(const Batch& like);
// Makes all microbatches of a step empty.
void remove_sequences(StepBatch& step);

// A program of one chunk: the forwards of all microbatches, then their backwards.
Program forwards_first(int num_microbatches);

// A model with its memory, which runs one pass over a batch at a time.
class TinyModel {
 public:
  TinyModel(Device device, const ModelOptions& options, uint64_t seed = 1);

  enum class Work : uint8_t { loss, gradients, evaluation };
  // Returns the sum of all losses. Leaves the gradients in the parameters and in row_gradient().
  double run(const StepBatch& batch, Work work);
  // The same with a given program over the model's stages.
  double run(const StepBatch& batch, const Program& program, Instrument* instrument = nullptr,
             Frame::Mode mode = Frame::Mode::training);
  // Names and elements of all gradients, those of Engram rows last.
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
