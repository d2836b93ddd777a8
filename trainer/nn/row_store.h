#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/arena.h"
#include "parallel/comm/communicator.h"
#include "parallel/shard/slice.h"
#include "parallel/shard/state.h"

namespace birkhoff {

// Access to the rows of one Engram table. A table has no dense gradient: rows are fetched by number, and gradients are
// returned by row. An implementation may keep the table on several ranks, in host memory or on disk.
class RowStore {
 public:
  virtual ~RowStore() = default;
  // Collective. Fills out [rows.size(), D] with the given rows. `rows` is ascending without duplicates.
  virtual void fetch(Stream& stream, const std::vector<int64_t>& rows, Tensor out) = 0;
  // Collective, once per step. Sends gradient rows to the ranks that hold the rows. Each rank passes its own sum for a
  // row; the sums of several ranks for one row are added in rank order (docs/numerics.md gives the error bound).
  virtual void add_gradients(Stream& stream, const std::vector<int64_t>& rows, Tensor values) = 0;
};

// A table of f32 rows in the memory of the ranks of a group. Each rank holds consecutive rows. All ranks hold the same
// number of rows, except that the last ones may hold fewer.
class ShardedRowStore final : public RowStore {
 public:
  ShardedRowStore(Device device, Communicator& group, std::string name, int64_t num_rows, int64_t row_width);

  void fetch(Stream& stream, const std::vector<int64_t>& rows, Tensor out) override;
  void add_gradients(Stream& stream, const std::vector<int64_t>& rows, Tensor values) override;

  // What the optimizer works on: this rank's rows [first_row(), first_row() + local_values().shape[0]), and the
  // gradient of those that the step used. Gradient::rows holds their numbers in the whole table, i64 on the device,
  // ascending without duplicates.
  struct Gradient {
    Tensor rows, values;
  };
  const std::string& name() const { return name_; }
  Tensor local_values() const { return values_; }
  int64_t first_row() const { return first_; }
  int64_t num_rows() const { return num_rows_; }
  int64_t row_width() const { return width_; }
  Slice slice() const;
  const Gradient& gradient() const { return gradient_; }
  Communicator& group() const { return *group_; }

  void initialize(Stream& stream, uint64_t seed, double std);
  void state(StateVisitor& visitor);

 private:
  // For each rank of the group, how many of the rows it holds.
  std::vector<int64_t> split_by_owner(const std::vector<int64_t>& rows) const;
  struct Requests {
    std::vector<int64_t> rows;    // numbers of rows, ordered by the rank that sent them
    std::vector<int64_t> counts;  // how many each rank sent
  };
  // Sends the numbers of `rows` to the ranks that hold these rows; `counts` is split_by_owner(rows). Returns what this
  // rank received.
  Requests exchange_rows(const std::vector<int64_t>& rows, const std::vector<int64_t>& counts);
  // Numbers of rows to numbers of elements.
  std::vector<int64_t> times_width(std::vector<int64_t> counts) const;

  Communicator* group_;
  std::string name_;
  int64_t num_rows_, width_, rows_per_rank_, first_;
  Arena table_, step_;
  Tensor values_;
  Gradient gradient_;
};

}  // namespace birkhoff
