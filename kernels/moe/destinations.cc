#include "kernels/moe/destinations.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void pair_destinations(const PairDestinationsArgs&);
void token_destinations(const TokenDestinationsArgs&);
void own_experts(const OwnExpertsArgs&);
}  // namespace cpu
namespace reference {
void pair_destinations(const PairDestinationsArgs&);
void token_destinations(const TokenDestinationsArgs&);
void own_experts(const OwnExpertsArgs&);
}  // namespace reference

namespace {

void check(std::string_view op, Tensor to, Tensor index, Tensor mask, int64_t experts) {
  BK_CHECK(to.dtype == DType::i32 && index.dtype == DType::i32 && to.shape.rows() == index.shape.rows(), op, ": to is ",
           to.dtype, to.shape, ", index ", index.dtype, index.shape, ", expected i32 with as many rows");
  BK_CHECK(!mask.present() || (mask.dtype == DType::u8 && mask.count() == index.shape.rows()), op, ": token_mask is ",
           mask.dtype, mask.shape, ", index ", index.shape);
  BK_CHECK(experts > 0, op, ": a rank holds ", experts, " experts");
}

}  // namespace

void pair_destinations(Stream& stream, const PairDestinationsArgs& a) {
  check("pair_destinations", a.to, a.index, a.token_mask, a.each);
  BK_CHECK(a.to.shape == a.index.shape, "pair_destinations: to is ", a.to.shape, ", index ", a.index.shape);
  OpScope scope(stream, "pair_destinations");
  BK_DISPATCH_HOST(stream, pair_destinations, a);
}

void token_destinations(Stream& stream, const TokenDestinationsArgs& a) {
  check("token_destinations", a.to, a.index, a.token_mask, a.each);
  OpScope scope(stream, "token_destinations");
  BK_DISPATCH_HOST(stream, token_destinations, a);
}

void own_experts(Stream& stream, const OwnExpertsArgs& a) {
  check("own_experts", a.own, a.index, {}, a.count);
  BK_CHECK(a.own.shape == a.index.shape, "own_experts: own is ", a.own.shape, ", index ", a.index.shape);
  OpScope scope(stream, "own_experts");
  BK_DISPATCH_HOST(stream, own_experts, a);
}

}  // namespace birkhoff
