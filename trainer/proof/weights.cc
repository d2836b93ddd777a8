#include "trainer/proof/weights.h"

#include <cmath>
#include <functional>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

// The score of an Engram gate is an inner product of the streams with a key, and the gate has the root of the score in
// it, whose slope is infinite at 0: a score near 0 raises rounding without bound, and a change of sign is a jump. So
// embedding and keys get a part that all channels and tokens have in common. It keeps scores near 4 or -4, several
// times their standard deviation away from 0 and below what saturates the gate.
constexpr double kCommonPart = 16;  // of the embedding, times the root of the number of channels
// The same for hc. The mixing of hc has no bound and may change the sum of the common parts of the streams by the same
// factor at each site, until the outputs of layers outweigh it.
constexpr double kCommonPartUnbounded = 32;
constexpr double kCommonKey = 3;  // mean of the weights of keys, in standard deviations

// Draws of which distribution the values of a parameter are.
class Distribution {
 public:
  Distribution(const Parameter& p, const Model& model, Scores scores)
      : p_(p),
        clear_(scores == Scores::clear),
        has_engram_(!model.tables.empty()),
        options_(model.decoder->options()) {}

  double spread() const {
    // hc has no bound on its mixing: with larger coefficients the streams would grow from site to site until later
    // blocks change nothing, and change their sign from token to token.
    if (p_.name.ends_with(".fn")) return is_unbounded() ? 0.03 / root(options_.hidden_size) : 0.1;
    if (p_.name.ends_with(".base")) return is_unbounded() ? 0.03 : 0.5;
    switch (p_.role) {
      case Role::matrix:
      case Role::experts:
      case Role::head:
        return 1.5 / root(p_.shape.back());
      case Role::embedding:
        return 1;
      case Role::conv:
        return 0.5;
      default:
        return 0.2;
    }
  }

  // Of an element of the logical tensor.
  double mean(int64_t element) const {
    if (p_.role == Role::gain || p_.name.ends_with(".scale")) return 1;
    if (!clear_) return 0;
    if (p_.name.ends_with(".base") && p_.init.kind == Init::Kind::table) return p_.init.at(element);
    if (!has_engram_) return 0;
    if (p_.name == "embedding.weight")
      return (is_unbounded() ? kCommonPartUnbounded : kCommonPart) / root(options_.hidden_size);
    if (!p_.name.ends_with(".engram.wkv.weight")) return 0;
    const int64_t stream = element / p_.shape[1] / options_.hidden_size;  // whose key the row belongs to
    if (stream == options_.residual.num_streams()) return 0;              // the value
    return (stream % 2 == 0 ? kCommonKey : -kCommonKey) * spread();
  }

 private:
  bool is_unbounded() const { return clear_ && options_.residual.type == ResidualType::hc; }
  static double root(int64_t n) { return std::sqrt(static_cast<double>(n)); }

  const Parameter& p_;
  bool clear_, has_engram_;
  const DecoderOptions& options_;
};

// Mean values of the rows of a drawn matrix. A router's rows get their own subtracted: the common part of the embedding
// would otherwise send all tokens to the same experts, and the others would learn nothing.
class RowMeans {
 public:
  RowMeans(const Philox& random, double spread, int64_t width) : random_(random), spread_(spread), width_(width) {}
  // Of the row of an element. Elements of one row are asked for one after the other.
  double of(int64_t element) {
    if (element / width_ == row_) return mean_;
    row_ = element / width_;
    double sum = 0;
    for (int64_t c = 0; c < width_; ++c) sum += random_.normal(static_cast<uint64_t>(row_ * width_ + c));
    return mean_ = spread_ * sum / static_cast<double>(width_);
  }

 private:
  const Philox& random_;
  double spread_;
  int64_t width_, row_ = -1;
  double mean_ = 0;
};

// The values of the held part, each drawn at its element of the logical tensor.
void set_values(Stream& stream, Tensor to, const Slice& held, const Philox& random, double spread,
                const std::function<double(int64_t)>& mean) {
  std::vector<double> values(static_cast<size_t>(to.count()));
  held.for_each_run([&](int64_t first, int64_t local, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t element = first + i;
      values[static_cast<size_t>(local + i)] = mean(element) + spread * random.normal(static_cast<uint64_t>(element));
    }
  });
  write_values(stream, to, values);
}

}  // namespace

void set_trained_values(Stream& stream, Model& model, uint64_t seed, Scores scores) {
  const bool clear = scores == Scores::clear;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    const Distribution of(p, model, scores);
    const Philox random(seed, key_of(p.name));
    RowMeans means(random, of.spread(), p.shape.back());
    set_values(stream, p.value, p.held, random, of.spread(), [&](int64_t element) {
      return clear && p.part == Part::routers ? -means.of(element) : of.mean(element);
    });
  }
  for (PersistentBuffer* b : model.parameters->buffers()) {
    set_values(stream, b->value, Slice::all(b->shape), Philox(seed, key_of(b->name)), 0.2, [](int64_t) { return 0; });
  }
  for (auto& table : model.tables) {
    set_values(stream, table->local_values(), table->slice(), Philox(seed, key_of(table->name())), 1,
               [&](int64_t) { return clear ? 1 : 0; });
  }
  model.parameters->values_changed();
}

}  // namespace birkhoff
