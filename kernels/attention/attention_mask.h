#pragma once
#include <cstdint>
#include <span>

#include "kernels/core/device.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Which keys the queries of an attention see: query t sees those with key_begin[t] <= j < key_end[t].
//
// Its kind, its documents and its longest range are in host memory. So the host can choose a kernel that takes
// documents instead of ranges without first reading the memory of the device.
struct AttentionMask {
  enum class Kind : uint8_t {
    // Query t and key t are the same token, Tq = Tk, and it sees its document up to itself. key_begin[t] is the first
    // token of that document; key_end is absent and stands for t + 1.
    causal_documents,
    // Each query sees a range of its own, with 0 <= key_begin and key_end <= Tk. A query with key_begin >= key_end
    // sees no key, whatever the two numbers are. Ranges may come in any order. A kernel skips keys for a whole tile of
    // queries at once, so it does the least work if, over the queries that see keys, neither key_begin nor key_end ever
    // decreases. This is the case for what a rank holds of a microbatch that is divided in zigzag order (early chunk,
    // late chunk, next sequence), for chunked prefill, for decoding, and if each query sees the keys up to the end of
    // its own block of tokens.
    key_ranges,
  };
  Kind kind = Kind::causal_documents;
  Tensor key_begin;     // i32 [Tq]
  Tensor key_end = {};  // i32 [Tq]
  // For causal_documents: the first token of each document, in ascending order from 0, followed by Tq. Empty if the
  // documents are not known. The host devices compute from key_begin alone. They still check that this list describes
  // the same documents, because with a wrong list a kernel that uses it would compute a different result. It is read
  // before the op returns: a kernel that runs later copies what it needs.
  std::span<const int32_t> document_offsets = {};
  // An upper bound on the length of every document or range. 0 stands for Tk.
  int64_t max_length = 0;
};

// Errors: UserError if a shape or dtype is not as above for Tq `queries` and Tk `keys`, if document_offsets do not
//         ascend from 0 to Tk, if max_length is negative, or if a document is longer. On the host devices, which read
//         the ranges, also if key_begin does not describe documents, or others than document_offsets lists, or if a
//         range leaves the keys or is longer than max_length.
void check_attention_mask(const AttentionMask& mask, int64_t queries, int64_t keys, Device device);

// The ranges of a mask in host memory.
struct KeyRange {
  int64_t begin, end;
  bool empty() const { return begin >= end; }
};
class KeyRanges {
 public:
  explicit KeyRanges(const AttentionMask& mask);
  KeyRange operator[](int64_t t) const { return {begin_[t], end_ != nullptr ? end_[t] : t + 1}; }
  const int32_t* begin() const { return begin_; }
  // Null where query t sees keys up to key t.
  const int32_t* end() const { return end_; }

 private:
  const int32_t *begin_, *end_;
};

}  // namespace birkhoff
