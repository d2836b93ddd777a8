#pragma once
#include <cstddef>
#include <vector>

#include "parallel/comm/engine/exchange.h"

namespace birkhoff {

// A collective that has begun.
class RunningCollective {
 public:
  virtual ~RunningCollective() = default;
  // Advances as far as possible without waiting. Returns true when the collective is over. CommError on a mismatch or a
  // failed group.
  virtual bool advance() = 0;
  // Ranks that have not joined the collective, by their numbers in the world.
  virtual std::vector<int> missing() const = 0;
  // If all have joined: those that have not read yet what this rank gives them.
  virtual std::vector<int> reading() const = 0;
};

// What messages call a group and its ranks.
struct GroupNames {
  std::string group = "world";
  std::vector<int> world_ranks = {};  // the numbers of its ranks in the world, in the order of the group
};

// Describes a rank's call, for comparison with the calls of the other ranks.
StepHeader header_of(const Operation& operation, uint64_t sequence);

// Carries out one collective as steps of an Exchange. Large operations take several rounds, each of at most one block
// per pair of ranks. Blocks that are only copied are lent if the exchange can do that and they are large; then one
// round is enough.
//   all_gather_v      one block for all, copied into place
//   all_to_all_v      a block for each, copied into place
//   reduce_scatter_v  a block for each, combined in rank order
//   broadcast         all_gather_v in which only the root has elements
//   all_reduce        small: one block for all, each rank combines everything; large: reduce_scatter_v, all_gather_v
class Collective final : public RunningCollective {
 public:
  // Ranks compare `call` before they use received data. If the collective is one stage of a larger one, it describes
  // the larger one. Errors and missing() use `names`, which must outlive this object; its ranks are those of the
  // exchange.
  Collective(Operation operation, const StepHeader& call, Exchange& exchange, const GroupNames& names);

  bool advance() override;
  std::vector<int> missing() const override;
  std::vector<int> reading() const override;

 private:
  enum class Pattern : uint8_t { gather, scatter, transpose, combine };
  // Where the ranks' blocks begin and how many elements they have.
  struct Layout {
    std::vector<int64_t> begin, count;
  };
  struct Phase {
    Pattern pattern;
    std::byte *out, *in;  // out is this rank's block for `scatter`, and the whole output otherwise
    Layout out_layout, in_layout;
    int64_t round_elements = 0, rounds = 1;
    bool lent = false;
  };
  struct Piece {
    int64_t begin, count;
  };
  enum class State : uint8_t { offering, posted, releasing };

  static Layout layout_of(std::vector<int64_t> counts);
  void add_phase(Phase phase);
  void plan_all_reduce();
  Piece piece(const Layout& layout, int rank) const;
  void offer();
  void lend_to_all(Piece mine);
  void check_headers() const;
  int world_rank(int rank) const { return names_.world_ranks[static_cast<size_t>(rank)]; }
  Exchange::Block received(int from, Piece expected) const;
  void take();
  void take_copies();
  void copy_own();
  void take_combined();
  void store_combined();

  Operation operation_;
  Exchange& exchange_;
  const GroupNames& names_;
  int64_t size_of_element_;
  StepHeader header_;
  std::vector<Phase> phases_;
  size_t phase_ = 0;
  int64_t round_ = 0;
  State state_ = State::offering;
  std::vector<std::byte> scratch_;  // results of `combine`, kept until the peers have read our input
};

}  // namespace birkhoff
