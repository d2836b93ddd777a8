#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/attention/attention_mask.h"
#include "kernels/core/arena.h"
#include "kernels/core/error.h"
#include "kernels/core/stream.h"
#include "kernels/gemm/precision.h"
#include "trainer/nn/instrument.h"

namespace birkhoff {

// A run of the flat tokens of a microbatch.
struct TokenRun {
  int64_t begin = 0, count = 0;
};

// One microbatch on the device. T = sequences x length tokens, flat; data/loader/batch.h explains the members.
//
// Outside of layers that divide their features, a rank of a tensor-parallel group computes only its own tokens: the run
// `own`, which is all T tokens if there is no such group. Every sequence is then padded to a length that the number of
// ranks divides (traps of docs/parallelism.md). Tensors are of all T tokens, except those of the Engram layers, which
// are of own tokens.
struct BatchView {
  int64_t sequences = 0, length = 0;
  TokenRun own;
  Tensor tokens, positions, document_start;  // i32 [T]
  std::vector<int32_t> document_offsets;     // in host memory: where each document begins, and T
  std::vector<Tensor> targets;               // i32 [T], one per prediction depth; -1 means no loss
  std::vector<Tensor> next_tokens;   // i32 [T], for depths d = 1, 2, ...: the token d ahead, or 0 if there is none
  std::vector<Tensor> loss_weights;  // f32 [T], one per depth, normalizer included
  Tensor token_mask;                 // u8 [T], 0 for padding; absent where every token counts
  double sequence_weight = 1;        // one over the sequences of the global batch
  // Per Engram layer: for each own token its rows, i32 [own.count * K] into the unique rows of the step, these rows
  // themselves [U, D], and their gradient [U, D].
  std::vector<Tensor> engram_index, engram_rows, engram_row_gradients;
  Tensor nll;  // output, may be absent: receives each token's loss of the next token, f32 [T]
  int64_t num_tokens() const { return sequences * length; }
  // For the tokens of the halo, which the convolution of Engram looks back to, and then own tokens: index of the first
  // token of the document within these tokens. i32 [halo + own.count]; without a tensor-parallel group the halo is
  // empty.
  Tensor halo_document_start;
  // The part of a tensor [T, ...] that belongs to own tokens; absent if the tensor is.
  Tensor own_of(Tensor all) const { return all.present() ? all.rows(own.begin, own.count) : all; }
  // Which tokens each token attends to. It refers to the documents of this view.
  AttentionMask attention_mask() const& {
    return {.kind = AttentionMask::Kind::causal_documents,
            .key_begin = document_start,
            .document_offsets = document_offsets,
            .max_length = length};
  }
  AttentionMask attention_mask() const&& = delete;
};

// Identifies the place in every frame where one module keeps what it needs between forward and backward. Build::slot()
// hands slots out while the model is built.
template <class T>
struct Slot {
  int index = -1;
};

// Everything that a microbatch keeps between its forward and its last backward. Modules hold no activations, so any
// number of microbatches may be in flight, each with a frame of its own.
//
// Memory comes from four kinds of arenas:
//   activations   lives until the microbatch is done
//   transient     rewound at the start of every group of blocks whose streams are recomputed (StreamGroup); its
//                 contents are rebuilt at the same addresses before the group's backward
//   observed      holds what an instrument keeps of recomputed blocks
//   gradients     two arenas that alternate from unit to unit, so that a stage holds the gradients of two units and not
//                 of all. If weight gradients are computed later (action W), the arenas do not alternate, since W reads
//                 the gradients of all units
class Frame {
 public:
  Frame(Stream stream_on, int num_slots)
      : stream(stream_on),
        activations(stream_on.device),
        transient(stream_on.device),
        observed(stream_on.device),
        slots_(static_cast<size_t>(num_slots)),
        gradients_{Arena(stream_on.device), Arena(stream_on.device)} {}

  Stream stream;
  Arena activations, transient, observed;
  BatchView batch;
  enum class Mode : uint8_t {
    training,
    replay,         // a forward that only rebuilds activations: nothing is counted a second time
    stream_replay,  // rebuilds streams only; the statistics of norms are still in place
    evaluation,     // a forward without a backward; it does not count in the loads
  };
  Mode mode = Mode::training;
  // Whether this forward adds to loads and balance losses. A replay must not do so again.
  bool counts() const { return mode == Mode::training; }
  // Whether this forward chooses experts for the first time; a replay repeats the choice.
  bool chooses() const { return mode == Mode::training || mode == Mode::evaluation; }
  // The StreamGroup whose tensors are in the transient memory now.
  const void* transient_owner = nullptr;
  Instrument* instrument = nullptr;  // may be null
  bool wants_values() const { return instrument != nullptr && instrument->wants_values(); }
  // May be called only if wants_values(); see Instrument.
  void show(const std::string& what, Tensor value) { instrument->show(what, value); }

  template <class T>
  T& saved(Slot<T> slot) {
    auto& place = slots_.at(static_cast<size_t>(slot.index));
    if (!place) place = std::make_unique<Holder<T>>();
    return static_cast<Holder<T>&>(*place).value;
  }

  Tensor take(DType dtype, Shape shape) { return activations.take(dtype, shape); }
  Tensor take_gradient(DType dtype, Shape shape) { return gradients_[current_].take(dtype, shape); }
  // Tensors that are not activations; their dtypes do not depend on the recipe (Precision).
  Tensor take_statistic(Shape shape) { return take(Precision::statistic(), shape); }
  Tensor take_statistic_gradient(Shape shape) { return take_gradient(Precision::statistic(), shape); }
  Tensor take_index(Shape shape) { return take(Precision::index(), shape); }
  Tensor take_offset(Shape shape) { return take(Precision::offset(), shape); }
  Arena& gradient_arena() { return gradients_[current_]; }
  // Empties the other gradient arena and makes it the current one. The gradients in the old one stay readable until the
  // next call.
  void alternate_gradients() {
    current_ = 1 - current_;
    gradients_[current_].reset();
  }
  // Releases all memory, so that the frame can take another microbatch.
  void clear() {
    activations.reset();
    transient.reset();
    observed.reset();
    transient_owner = nullptr;
    current_ = 0;  // so that equal steps use equal addresses
    for (Arena& arena : gradients_) arena.reset();
  }
  // Bytes of activations that forwards have taken so far, and of these the ones that DividedLayers took.
  size_t taken_bytes() const { return activations.taken_bytes() + transient.taken_bytes() + observed.taken_bytes(); }
  size_t taken_in_divided_layers = 0;
  size_t peak_bytes() const {
    return activations.peak_bytes() + transient.peak_bytes() + observed.peak_bytes() + gradients_[0].peak_bytes() +
           gradients_[1].peak_bytes();
  }

 private:
  struct Place {
    virtual ~Place() = default;
  };
  template <class T>
  struct Holder : Place {
    T value{};
  };
  std::vector<std::unique_ptr<Place>> slots_;
  Arena gradients_[2];
  int current_ = 0;
};

// Exists while a layer that a tensor-parallel group divides runs its forward, and counts the activations that the layer
// takes. All others are of own tokens, so each rank of the group takes its share of them (docs/benchmarks.md).
class DividedLayer {
 public:
  explicit DividedLayer(Frame& frame) : frame_(frame), before_(frame.taken_bytes()) {}
  ~DividedLayer() { frame_.taken_in_divided_layers += frame_.taken_bytes() - before_; }
  DividedLayer(const DividedLayer&) = delete;
  DividedLayer& operator=(const DividedLayer&) = delete;

 private:
  Frame& frame_;
  size_t before_;
};

}  // namespace birkhoff
