#include "kernels/attention/attention_mask.h"

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using Kind = AttentionMask::Kind;

void check_index(const char* name, Tensor t, int64_t queries) {
  BK_CHECK(t.dtype == DType::i32 && (t.shape == Shape{queries}), "attention: ", name, " is ", t.dtype, t.shape,
           ", expected i32 [", queries, "]");
}

void check_offsets(std::span<const int32_t> offsets, int64_t tokens, int64_t max_length) {
  BK_CHECK(offsets.front() == 0 && offsets.back() == tokens, "attention: documents go from token ", offsets.front(),
           " to ", offsets.back(), ", expected 0 to ", tokens);
  for (size_t i = 1; i < offsets.size(); ++i) {
    BK_CHECK(offsets[i] > offsets[i - 1], "attention: document ", i - 1, " begins at token ", offsets[i - 1],
             " and ends at ", offsets[i]);
    BK_CHECK(offsets[i] - offsets[i - 1] <= max_length, "attention: document ", i - 1, " has ",
             offsets[i] - offsets[i - 1], " tokens, expected at most ", max_length);
  }
}

// That key_begin describes documents, and those of the list where there is one.
void check_documents(const AttentionMask& mask, int64_t tokens, int64_t max_length) {
  const int32_t* begin = mask.key_begin.as<int32_t>();
  const std::span<const int32_t> offsets = mask.document_offsets;
  size_t documents = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const bool first = begin[t] == t;
    BK_CHECK(first || (t > 0 && begin[t] == begin[t - 1]), "attention: the document of token ", t, " begins at ",
             begin[t], ", expected ", t, " or where that of the token before does");
    BK_CHECK(t - begin[t] < max_length, "attention: the document at token ", begin[t], " has more than ", max_length,
             " tokens");
    if (!first) continue;
    BK_CHECK(offsets.empty() || offsets[documents] == t, "attention: document ", documents, " begins at token ", t,
             " by key_begin, but at ", offsets.empty() ? 0 : offsets[documents], " by document_offsets");
    ++documents;
  }
  BK_CHECK(offsets.empty() || documents + 1 == offsets.size(), "attention: ", documents,
           " documents by key_begin, but ", offsets.size() - 1, " by document_offsets");
}

void check_ranges(const AttentionMask& mask, int64_t queries, int64_t keys, int64_t max_length) {
  const KeyRanges ranges(mask);
  for (int64_t t = 0; t < queries; ++t) {
    const KeyRange range = ranges[t];
    if (range.empty()) continue;
    BK_CHECK(range.begin >= 0 && range.end <= keys, "attention: query ", t, " sees keys [", range.begin, ", ",
             range.end, "), but there are ", keys);
    BK_CHECK(range.end - range.begin <= max_length, "attention: query ", t, " sees ", range.end - range.begin,
             " keys, expected at most ", max_length);
  }
}

}  // namespace

KeyRanges::KeyRanges(const AttentionMask& mask)
    : begin_(mask.key_begin.as<int32_t>()), end_(mask.key_end.present() ? mask.key_end.as<int32_t>() : nullptr) {}

void check_attention_mask(const AttentionMask& mask, int64_t queries, int64_t keys, Device device) {
  const bool causal = mask.kind == Kind::causal_documents;
  check_index("key_begin", mask.key_begin, queries);
  if (!causal) check_index("key_end", mask.key_end, queries);
  BK_CHECK(!causal || !mask.key_end.present(), "attention: key_end is given for causal documents, which have none");
  BK_CHECK(!causal || queries == keys, "attention: ", queries, " queries and ", keys,
           " keys cannot be the same tokens, as those of causal documents are");
  BK_CHECK(causal || mask.document_offsets.empty(), "attention: documents are given for ranges of keys");
  BK_CHECK(mask.max_length >= 0, "attention: max_length is ", mask.max_length, ", expected 0 or more");
  const int64_t max_length = mask.max_length > 0 ? mask.max_length : keys;
  if (!mask.document_offsets.empty()) check_offsets(mask.document_offsets, keys, max_length);
  if (device.kind != DeviceKind::cpu && device.kind != DeviceKind::reference) return;
  if (causal) {
    check_documents(mask, keys, max_length);
  } else {
    check_ranges(mask, queries, keys, max_length);
  }
}

}  // namespace birkhoff
