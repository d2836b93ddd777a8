#include "trainer/nn/token_exchange.h"

#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

// Every rank contributes the same number of elements.
std::vector<int64_t> equal_counts(int64_t each, int ranks) {
  return std::vector<int64_t>(static_cast<size_t>(ranks), each);
}

}  // namespace

TokenExchange::TokenExchange(const Build& build)
    : group_(build.mesh ? &build.mesh->group(Group::tp) : nullptr), activation_(build.precision.activation()) {}

void TokenExchange::gather_to(Stream& stream, Tensor all, Tensor own) const {
  BK_ASSERT(all.count() == own.count() * size(), "gathers ", own.shape, " of ", size(), " ranks into ", all.shape);
  group_->all_gather_v(stream, all, own, equal_counts(own.count(), size()))->wait(stream);
}

void TokenExchange::scatter_sum_to(Stream& stream, Tensor own, Tensor all) const {
  BK_ASSERT(all.count() == own.count() * size(), "sums ", all.shape, " of ", size(), " ranks to ", own.shape);
  group_->reduce_scatter_v(stream, own, all, equal_counts(own.count(), size()))->wait(stream);
}

Tensor TokenExchange::Started::wait(Frame& f) {
  if (work_ == nullptr) return result_;
  work_->wait(f.stream);
  if (received_.dtype != result_.dtype) copy(f.stream, result_, received_);
  return result_;
}

TokenExchange::Started TokenExchange::start_gather(Frame& f, Tensor own) const {
  Started started(own);
  if (size() == 1) return started;
  started.result_ = started.received_ = f.take(own.dtype, own.shape.with(0, own.shape[0] * size()));
  started.work_ = group_->all_gather_v(f.stream, started.result_, own, equal_counts(own.count(), size()));
  return started;
}

TokenExchange::Started TokenExchange::start_sum_gradient(Frame& f, Tensor partial) const {
  Started started(partial);
  if (size() == 1) return started;
  const Shape own = partial.shape.with(0, partial.shape[0] / size());
  started.result_ = started.received_ = f.take_gradient(activation_, own);
  if (partial.dtype != started.result_.dtype) started.received_ = f.take_gradient(partial.dtype, own);
  started.work_ = group_->reduce_scatter_v(f.stream, started.received_, partial, equal_counts(own.count(), size()));
  return started;
}

Tensor TokenExchange::gather(Frame& f, Tensor own) const { return start_gather(f, own).wait(f); }

Tensor TokenExchange::gather_gradient(Frame& f, Tensor own) const {
  if (size() == 1) return own;
  const Tensor all = f.take_gradient(own.dtype, own.shape.with(0, own.shape[0] * size()));
  gather_to(f.stream, all, own);
  return all;
}

void TokenExchange::sum_to(Frame& f, Tensor out, Tensor partial) const {
  if (out.dtype == partial.dtype) return scatter_sum_to(f.stream, out, partial);
  const ArenaScope scope(f.gradient_arena());
  const Tensor sum = f.take_gradient(partial.dtype, out.shape);
  scatter_sum_to(f.stream, sum, partial);
  copy(f.stream, out, sum);
}

Tensor TokenExchange::sum_gradient(Frame& f, Tensor partial) const {
  if (size() == 1) return partial;
  const Tensor out = f.take_gradient(activation_, partial.shape.with(0, partial.shape[0] / size()));
  sum_to(f, out, partial);
  return out;
}

void TokenExchange::sum_over_ranks(Frame& f, Tensor values) const {
  if (size() > 1) group_->all_reduce(f.stream, values)->wait(f.stream);
}

}  // namespace birkhoff
