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

// The rows of one Engram table. No dense gradient of a table exists: rows are fetched by number, and gradients come
// back as rows. Behind this a table may lie on several ranks, in host memory or on disk.
class RowStore {
 public:
  virtual ~RowStore() = default;
  // Collective. Fills out [rows.size(), D] with the rows named, ascending and unique.
  virtual void fetch(Stream& stream, const std::vector<int64_t>& rows, Tensor out) = 0;
  // Collective. Adds gradient rows, each a rank's own sum; rows that several ranks touched are summed in rank order
  // (docs/numerics.md gives the bound). Once a step.
  virtual void add_gradients(Stream& stream, const std::vector<int64_t>& rows, Tensor values) = 0;
};

// A table of f32 rows divided in equal runs over the ranks of a group, in their memory.
class ShardedRowStore final : public RowStore {
 public:
  ShardedRowStore(Device device, Communicator& group, std::string name, int64_t num_rows, int64_t row_width);

  void fetch(Stream& stream, const std::vector<int64_t>& rows, Tensor out) override;
  void add_gradients(Stream& stream, const std::vector<int64_t>& rows, Tensor values) override;

  // What the optimizer works on: this rank's rows [first, first + local), and the gradient rows of the step, their
  // numbers (of the whole table) ascending and unique, i64 on the device.
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
  // Elements this rank exchanges with each rank for a list of rows, per row `width` elements.
  std::vector<int64_t> split_by_owner(const std::vector<int64_t>& rows) const;
  struct Requests {
    std::vector<int64_t> rows;    // asked of this rank, in rank order
    std::vector<int64_t> counts;  // per rank
  };
  Requests exchange_rows(const std::vector<int64_t>& rows, const std::vector<int64_t>& counts);
  std::vector<int64_t> times_width(std::vector<int64_t> counts) const;

  Communicator* group_;
  std::string name_;
  int64_t num_rows_, width_, rows_per_rank_, first_;
  Arena table_, step_;
  Tensor values_;
  Gradient gradient_;
};

}  // namespace birkhoff
