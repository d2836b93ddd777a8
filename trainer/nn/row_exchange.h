#pragma once
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/nn/frame.h"
#include "trainer/nn/moe_options.h"

namespace birkhoff {

// How the rows of one microbatch travel over a group of ranks. An item, such as a token, sends copies of itself to
// several ranks; each copy is a row. Sent rows lie in the order of the ranks that they go to, then in the order of
// items and of the places of an item; received rows lie in the order of the ranks that they come from.
struct RowRoute {
  Tensor row_of;                        // i32 [N, W]: the sent row of place w of item n; -1: none
  Tensor item_of;                       // i32 [S]: the item of each sent row
  std::vector<int64_t> sent, received;  // rows by rank
  int64_t num_sent = 0, num_received = 0;
};

// Moves rows between the ranks of a group. All functions are collective; which of them are called, and in which order,
// depends on no data, and a rank with nothing to send or receive takes part too.
class RowExchange {
 public:
  explicit RowExchange(Communicator& group) : group_(&group) {}

  int size() const { return group_->size(); }
  // `to` i32 [N, W] names the rank that each copy goes to; -1: none. The tensors of the route are in activation memory.
  // Waits for the device, since the ranks exchange the numbers of rows. The meta device, which knows no numbers, plans
  // with `planned` rows, evenly over all ranks.
  RowRoute route(Frame& frame, Tensor to, int64_t planned) const;
  // Sends in [S, ...] along the route; out [S', ...] receives. With another payload than the dtype of `in`, rows travel
  // rounded to it, those for this rank too. A group of one rank rounds nothing.
  void send(Frame& frame, const RowRoute& route, Tensor out, Tensor in, Payload payload = Payload::activation) const;
  // The other way: in [S', ...] -> out [S, ...].
  void give_back(Frame& frame, const RowRoute& route, Tensor out, Tensor in,
                 Payload payload = Payload::activation) const;

 private:
  void exchange(Frame& frame, Tensor out, const std::vector<int64_t>& received, Tensor in,
                const std::vector<int64_t>& sent, Payload payload) const;

  Communicator* group_;
};

// Joins the rows of all ranks of a group that compute summands of the same outputs.
class RowGather {
 public:
  explicit RowGather(Communicator& group) : group_(&group) {}

  int size() const { return group_->size(); }
  int rank() const { return group_->rank(); }
  // The number of rows of every rank, of which this rank gives `own`.
  std::vector<int64_t> counts(Frame& frame, int64_t own) const;
  // own [n, ...] of every rank -> all, in the order of ranks, in gradient memory. With one rank returns `own`.
  Tensor gather(Frame& frame, const std::vector<int64_t>& counts, Tensor own,
                Payload payload = Payload::activation) const;
  // Summands of all rows, of every rank -> the sums of own rows, which `own` receives. Adds in the dtype of `all`, in
  // the order of ranks, then converts.
  void sum_to(Frame& frame, const std::vector<int64_t>& counts, Tensor own, Tensor all) const;

 private:
  Communicator* group_;
};

}  // namespace birkhoff
