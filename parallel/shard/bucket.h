#pragma once
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
  Bucket(Arena& storage, Communicator& replicas, std::vector<BucketItem> items, std::vector<double>& load);

  size_t size() const { return items_.size(); }
  const BucketItem& item(size_t i) const { return items_[i]; }
  Tensor value(size_t i) const;
  Tensor gradient(size_t i) const;
  Tensor all_values() const { return values_; }
  Tensor all_gradients() const { return gradients_; }

  // A range of a held parameter that this rank owns. `begin` is its offset in the held part.
  struct Owned {
    size_t item = 0;
    int64_t begin = 0;
    Slice slice;  // of the logical tensor
    Tensor value, gradient;
  };
  const std::vector<Owned>& owned() const { return owned_; }
  const PieceCounts& pieces() const { return pieces_; }

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
  void find_owned();

  Communicator* replicas_;
  std::vector<BucketItem> items_;
  std::vector<int64_t> offsets_;
  PieceCounts pieces_;
  int64_t first_ = 0;  // where this rank's piece begins
  Tensor values_, gradients_;
  std::vector<Owned> owned_;
  Communicator::Pending reducing_, gathering_;
};

}  // namespace birkhoff
