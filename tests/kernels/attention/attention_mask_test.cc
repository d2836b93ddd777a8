#include "kernels/attention/attention_mask.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/kernels/attention/attended.h"

namespace birkhoff::test {
namespace {

// The message with which a mask of four queries on `device` is refused, empty where it is not.
std::string refusal(Ranges r, int64_t max_length = 0, Device device = {}, bool with_end = false) {
  Arena arena(device);
  Stream stream{device};
  const auto heads = [&](int64_t rows) { return arena.take(DType::f32, {rows, 1, 2}); };
  const int64_t Tq = r.num_queries();
  AttentionMask mask = r.mask({});
  mask.max_length = max_length;
  mask.key_begin = arena.take(DType::i32, {Tq});
  if (with_end || r.kind == AttentionMask::Kind::key_ranges) mask.key_end = arena.take(DType::i32, {Tq});
  if (device.kind != DeviceKind::meta) {
    set_values(mask.key_begin, {r.begin.begin(), r.begin.end()});
    if (mask.key_end.present()) set_values(mask.key_end, {r.end.begin(), r.end.end()});
  }
  const AttentionArgs a{.o = heads(Tq),
                        .lse = arena.take(DType::f32, {Tq, 1}),
                        .q = heads(Tq),
                        .k = heads(r.num_keys),
                        .v = heads(r.num_keys),
                        .mask = mask};
  try {
    attention_forward(stream, a);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

Ranges with(Ranges r, const std::function<void(Ranges&)>& change) {
  change(r);
  return r;
}

TEST(AttentionMask, IsRefusedWhereItIsWrong) {
  using testing::HasSubstr;
  const Ranges good = documents({1, 3});
  EXPECT_EQ(refusal(good), "");
  EXPECT_EQ(refusal(good, 3), "");
  EXPECT_EQ(refusal(with(good, [](Ranges& r) { r.offsets = {}; })), "");
  EXPECT_THAT(refusal(good, -1), HasSubstr("max_length is -1"));
  EXPECT_THAT(refusal(good, 2), HasSubstr("document 1 has 3 tokens, expected at most 2"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { r.offsets = {}; }), 2), HasSubstr("has more than 2 tokens"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { r.begin = {0, 0, 1, 1}; })), HasSubstr("token 2 begins at 1"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { r.begin[0] = 1; })), HasSubstr("token 0 begins at 1"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { r.offsets = {0, 2, 4}; })), HasSubstr("1 begins at token 1"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { r.offsets = {0, 4}; })), HasSubstr("1 begins at token 1"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { r.offsets = {0, 1, 2, 4}; })), HasSubstr("2 documents by key_begin"));
  EXPECT_THAT(refusal(with(good, [](Ranges& r) { ++r.num_keys; })), HasSubstr("4 queries and 5 keys"));
  EXPECT_THAT(refusal(good, 0, {}, true), HasSubstr("key_end is given"));
  const Ranges ranges = chunked_prefill(2, 4);
  EXPECT_EQ(refusal(ranges), "");
  EXPECT_THAT(refusal(ranges, 5), HasSubstr("query 3 sees 6 keys, expected at most 5"));
  EXPECT_THAT(refusal(with(ranges, [](Ranges& r) { --r.num_keys; })), HasSubstr("query 3 sees keys [0, 6)"));
  EXPECT_THAT(refusal(with(ranges, [](Ranges& r) { r.begin[1] = -1; })), HasSubstr("query 1 sees keys [-1, 4)"));
  EXPECT_THAT(refusal(with(ranges, [](Ranges& r) { r.offsets = {0, 4}; })), HasSubstr("documents are given"));
}

// What stands in host memory is checked on every device.
TEST(AttentionMask, ChecksItsDocumentsWithoutReadingTheDevice) {
  const Device meta{DeviceKind::meta};
  const Ranges good = documents({1, 3});
  EXPECT_EQ(refusal(good, 3, meta), "");
  EXPECT_NE(refusal(good, 2, meta), "");
  for (const std::vector<int32_t>& offsets : {std::vector<int32_t>{0, 3}, {1, 4}, {0, 2, 2, 4}, {0, 3, 1, 4}}) {
    EXPECT_NE(refusal(with(good, [&](Ranges& r) { r.offsets = offsets; }), 0, meta), "");
  }
}

}  // namespace
}  // namespace birkhoff::test
