#pragma once
// Attention forward and backward on one device over drawn inputs, and how far its results may be from the reference's.
#include <map>
#include <string>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/core/arena.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {

struct Heads {
  int64_t H, Hkv, Dqk, Dv;
  double scale() const;
};

// Which keys each query sees.
struct Ranges {
  AttentionMask::Kind kind = AttentionMask::Kind::key_ranges;
  int64_t num_keys = 0;
  std::vector<int64_t> begin = {}, end = {};  // of each query
  std::vector<int64_t> rows = {};             // which of the drawn rows each query is; empty: query t is row t
  std::vector<int32_t> offsets = {};          // of causal documents

  int64_t num_queries() const { return static_cast<int64_t>(begin.size()); }
  void add(int64_t from, int64_t to) {
    begin.push_back(from);
    end.push_back(to);
  }
  // The mask of tensors "begin" and, where it has one, "end".
  AttentionMask mask(const Tensors& t) const;
};
// Causal documents of these lengths.
Ranges documents(const std::vector<int64_t>& lengths);
// Queries after `prefix` keys of their own document, which were computed before.
Ranges chunked_prefill(int64_t prefix, int64_t queries);

// A case with inputs q, k, v and outputs o and lse.
OpCase attention_case(const Heads& heads, const Ranges& ranges);

// Forward and backward on one device over the inputs of attention_case, rounded to bf16 whatever the dtype. The
// backward reads o and lse, so a reference is given those of the run that it judges.
class Attended {
 public:
  Attended(const Heads& heads, const Ranges& ranges, Device device, DType dtype, const Attended* judged = nullptr);
  // Of q, k, v, d_o, o, lse, d_q, d_k, d_v.
  std::vector<double> values(const std::string& name) const;

 private:
  void fill(const std::string& name, const std::vector<int64_t>& rows);
  void forward();
  void backward();

  Heads heads_;
  Ranges ranges_;
  Arena arena_;
  Stream stream_;
  Tensors t_;
  std::vector<double> o_, lse_;
};

// What bounds the error of an output sum_j w[j] x[j]: a weight w, a probability or the gradient of a score, may be
// rounded to the dtype before the product. `rounded` is sum |w x|; `summed` is the same with the terms that w itself
// is a difference of.
struct Magnitudes {
  std::vector<double> rounded, summed;
  explicit Magnitudes(size_t count) : rounded(count), summed(count) {}
  void add(size_t at, double weight, double terms, double x);
};
// Of o, d_q, d_k and d_v.
std::map<std::string, Magnitudes> magnitudes(const Heads& heads, const Ranges& ranges, const Attended& exact);

// Largest error relative to what the roundings of `dtype` allow, each element by itself. `sum` bounds the relative
// error of the f32 sums. Where results of several calls were added up, each of them was rounded by itself.
enum class Stored { once, in_parts };
double worst_error(const std::vector<double>& actual, const std::vector<double>& expected, const Magnitudes& m,
                   DType dtype, double sum, Stored stored = Stored::once);

}  // namespace birkhoff::test
