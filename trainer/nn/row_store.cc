#include "trainer/nn/row_store.h"

#include <algorithm>
#include <map>

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "kernels/engram/rows.h"
#include "kernels/gemm/precision.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

Tensor upload_index(Stream& stream, Arena& arena, const std::vector<int32_t>& index) {
  const Tensor t = arena.take(Precision::index(), {static_cast<int64_t>(index.size()), 1});
  from_host(stream, t, index.data());
  return t;
}

// For a seeded defect: the values of a rank's tables before their last update, which a fetch gets that runs too early.
struct RowsBefore {
  std::vector<double> values;
  int visits = 0;  // of the state since then
};
std::map<const ShardedRowStore*, RowsBefore>& rows_before_update() {
  static thread_local std::map<const ShardedRowStore*, RowsBefore> rows;
  return rows;
}
bool fetches_too_early() { return BK_DEFECT("D20 rows fetched before the update"); }

}  // namespace

ShardedRowStore::ShardedRowStore(Device device, Communicator& group, std::string name, int64_t num_rows,
                                 int64_t row_width)
    : group_(&group),
      name_(std::move(name)),
      num_rows_(num_rows),
      width_(row_width),
      rows_per_rank_((num_rows + group.size() - 1) / group.size()),
      first_(std::min(num_rows, rows_per_rank_ * group.rank())),  // the last ranks of a small table may hold no row
      table_(device),
      step_(device) {
  values_ = table_.take(Precision::master(), {std::min(rows_per_rank_, num_rows_ - first_), width_});
}

Slice ShardedRowStore::slice() const { return {{num_rows_, width_}, {{{first_, 0}, values_.shape}}}; }

std::vector<int64_t> ShardedRowStore::split_by_owner(const std::vector<int64_t>& rows) const {
  std::vector<int64_t> counts(static_cast<size_t>(group_->size()), 0);
  for (int64_t row : rows) ++counts[static_cast<size_t>(row / rows_per_rank_)];
  return counts;
}

std::vector<int64_t> ShardedRowStore::times_width(std::vector<int64_t> counts) const {
  for (int64_t& c : counts) c *= width_;
  return counts;
}

ShardedRowStore::Requests ShardedRowStore::exchange_rows(const std::vector<int64_t>& rows,
                                                         const std::vector<int64_t>& counts) {
  const size_t n = static_cast<size_t>(group_->size());
  Requests asked;
  const std::vector<int64_t> ones(n, 1);
  asked.counts = all_to_all_v_on_host(*group_, ones, std::span(counts), ones);
  asked.rows = all_to_all_v_on_host(*group_, asked.counts, std::span(rows), counts);
  return asked;
}

void ShardedRowStore::fetch(Stream& stream, const std::vector<int64_t>& rows, Tensor out) {
  if (stream.device.kind == DeviceKind::meta) return;
  const ArenaScope scope(step_);
  // `rows` is ascending and ranks hold ascending runs of rows, so the rows of one owner are contiguous, in rank order.
  const std::vector<int64_t> counts = split_by_owner(rows);
  const Requests asked = exchange_rows(rows, counts);
  std::vector<int32_t> index(asked.rows.size());
  for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int32_t>(asked.rows[i] - first_);
  const Tensor served = step_.take(values_.dtype, {static_cast<int64_t>(index.size()), width_});
  Tensor values = values_;
  if (fetches_too_early() && !rows_before_update()[this].values.empty()) {
    values = step_.take(values_.dtype, values_.shape);
    write_values(stream, values, rows_before_update().at(this).values);
  }
  engram_gather_forward(stream, {served, values, upload_index(stream, step_, index)});
  group_->all_to_all_v(stream, out, times_width(counts), served, times_width(asked.counts))->wait(stream);
}

void ShardedRowStore::add_gradients(Stream& stream, const std::vector<int64_t>& rows, Tensor values) {
  step_.reset();  // the gradient of the previous step, which the optimizer has used
  if (stream.device.kind == DeviceKind::meta) {
    // A dry run exchanges nothing. It assumes that this rank receives gradients of as many different rows as it sends.
    const int64_t most = std::min(static_cast<int64_t>(rows.size()), values_.shape[0]);
    gradient_ = {step_.take(Precision::offset(), {most}), step_.take(values_.dtype, {most, width_})};
    return;
  }
  if (BK_DEFECT("row gradients dropped") && group_->rank() > 0) fill_zero(stream, values);
  const std::vector<int64_t> counts = split_by_owner(rows);
  const Requests given = exchange_rows(rows, counts);
  const Tensor arrived = step_.take(values_.dtype, {static_cast<int64_t>(given.rows.size()), width_});
  group_->all_to_all_v(stream, arrived, times_width(given.counts), values, times_width(counts))->wait(stream);
  // Several ranks may have sent the same row. Their gradients lie in rank order in `arrived`, and the gather's backward
  // adds them in this order.
  std::vector<int64_t> unique = given.rows;
  std::sort(unique.begin(), unique.end());
  unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
  std::vector<int32_t> index(given.rows.size());
  for (size_t i = 0; i < index.size(); ++i) {
    index[i] = static_cast<int32_t>(std::lower_bound(unique.begin(), unique.end(), given.rows[i]) - unique.begin());
  }
  const int64_t U = static_cast<int64_t>(unique.size());
  gradient_ = {step_.take(Precision::offset(), {U}), step_.take(values_.dtype, {U, width_})};
  from_host(stream, gradient_.rows, unique.data());
  fill_zero(stream, gradient_.values);
  engram_gather_backward(stream, {gradient_.values, arrived, upload_index(stream, step_, index)});
  if (fetches_too_early()) rows_before_update()[this] = {read_values(stream, values_), 0};
}

void ShardedRowStore::initialize(Stream& stream, uint64_t seed, double std) {
  // Values are keyed by their element in the whole table, so they do not depend on the number of ranks.
  fill_normal(stream, {values_, seed, key_of(name_), first_ * width_, std});
}

void ShardedRowStore::state(StateVisitor& v) {
  v.shard("model." + name_, values_, slice());
  // A proof visits the state after a step to compare it, and a second time to load another. A loaded state is fetched
  // as it is.
  if (fetches_too_early() && ++rows_before_update()[this].visits > 1) rows_before_update().erase(this);
}

}  // namespace birkhoff
