#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/arena.h"
#include "parallel/comm/communicator.h"
#include "parallel/shard/division.h"
#include "parallel/shard/partition.h"

namespace birkhoff {

struct BucketItem {
  std::string name;
  Held held;          // the part of the parameter that this rank and all others of the bucket's group hold
  double cost = 0;    // cost of updating the whole held part
  int64_t grain = 0;  // see PartitionItem
  // If given, `held` consists of so many units of equal size, of which ranks outside of the group hold the rest. The
  // bucket is then cut between units. The cut depends on their number and cost alone, so that the ranks that hold the
  // rest, with other sizes perhaps, cut theirs alike. All items of a bucket have units, or none has.
  std::optional<int64_t> units = {};
};

// Values and gradients of a unit's parameters, each contiguous, so that one collective moves the whole unit. All ranks
// of `replicas` hold the same part of each parameter. A rank owns one piece of the bucket: it updates that piece and
// keeps its optimizer state.
//
// The order of calls in a step: gradients accumulate; start_reduce() follows the last microbatch of the unit; then
// wait_reduced(); every owner updates its ranges; start_gather(); wait_gathered() before the values are read again.
// Types:  f32; f64 on the reference device. Parameters are aligned to 64 bytes; the padding between them stays zero.
class Bucket {
 public:
  // `load` is the cost that each rank has been given so far (see cut_bucket); it has replicas.size() entries.
  // `wire`: in which dtype gradients travel, f32 or bf16. The sum of bf16 gradients is taken in f32 and rounded once.
  Bucket(Arena& storage, Communicator& replicas, std::vector<BucketItem> items, std::vector<double>& load,
         DType wire = DType::f32);

  size_t size() const { return items_.size(); }
  const BucketItem& item(size_t i) const { return items_[i]; }
  Tensor value(size_t i) const;
  Tensor gradient(size_t i) const;
  Tensor all_values() const { return values_; }
  Tensor all_gradients() const { return gradients_; }
  size_t packed_bytes() const { return packed_.present() ? packed_.bytes() : 0; }

  // A range of a held parameter that this rank owns. `begin` is its offset in the held part.
  struct Owned {
    size_t item = 0;
    int64_t begin = 0;
    Slice slice;  // of the logical tensor
    Tensor value, gradient;
  };
  const std::vector<Owned>& owned() const { return owned_; }
  const PieceCounts& pieces() const { return pieces_; }
  // What a rank of the group owns of an item: units if the item has them, otherwise elements of the held part.
  struct Range {
    int64_t begin = 0, end = 0;
  };
  Range owned_by(int rank, size_t item) const;

  void zero_gradients(Stream& stream);
  // Sums the gradients of each piece over the replicas, in rank order, and stores the sum on the owner of the piece. On
  // a rank, pieces that it does not own keep the rank's own gradients.
  void start_reduce(Stream& stream);
  void wait_reduced(Stream& stream);
  // Sends the owners' values to every replica.
  void start_gather(Stream& stream);
  void wait_gathered(Stream& stream);

 private:
  Tensor at(Tensor flat, size_t i) const;
  Tensor own_piece(Tensor flat) const;
  void cut(std::vector<double>& load);
  int64_t begin_of_unit(int64_t unit) const;
  void find_owned();
  bool has_units() const { return !items_.empty() && items_[0].units.has_value(); }

  Communicator* replicas_;
  std::vector<BucketItem> items_;
  std::vector<int64_t> offsets_;  // of the items, in elements; the last one is their sum
  // The same in what the bucket is cut by, units or elements, and where the pieces of the ranks begin; the last entry
  // is the end.
  std::vector<int64_t> cut_offsets_, cut_begins_;
  PieceCounts pieces_;
  int64_t first_ = 0;  // where this rank's piece begins
  Tensor values_, gradients_;
  Tensor packed_;  // gradients in the dtype of the wire; absent if that is their own
  std::vector<Owned> owned_;
  Communicator::Pending reducing_, gathering_;
};

}  // namespace birkhoff
