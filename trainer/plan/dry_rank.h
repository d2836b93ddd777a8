#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/engram/hash.h"
#include "parallel/comm/dry/dry_group.h"
#include "trainer/config/config.h"
#include "trainer/plan/rank_bytes.h"

namespace birkhoff {

class Trainer;

// What one rank sends to the other ranks of a group in a step (Operation::count_sent).
struct SentBytes {
  std::string group;       // its name, that of the first axis or purpose that needs it (Mesh::group)
  int64_t gradients = 0;   // to the ranks that own them
  int64_t weights = 0;     // the new values of what this rank owns
  int64_t matrices = 0;    // gradients and values of matrices for the rank that updates them by Muon, and new values
  int64_t layers = 0;      // between the ranks that compute a layer together, over all microbatches
  int64_t table_rows = 0;  // rows of tables and their gradients; see DryRank::sent()
  int64_t sums = 0;        // losses, loads, norms, gains, and what the update of a table sums
  int64_t total() const { return gradients + weights + matrices + layers + table_rows + sums; }
  bool operator==(const SentBytes&) const = default;
};

// One rank of a layout on the meta device, where it allocates and computes nothing and has no peers. So everything that
// it holds and sends follows from what its modules declare and do, at any layout. It counts f32 where the reference
// device has f64.
class DryRank {
 public:
  // `layout` gives dp, and model.vocab_size is set. Neighboring ranks share a host, `ranks_on_host` on each.
  DryRank(const Config& config, const MeshDegrees& layout, int rank, int ranks_on_host = 1);

  struct Run {
    RankBytes bytes;
    double forward_flops = 0, training_flops = 0;  // per token, as the ops report them
    std::string optimizers;                        // Trainer::optimizer_table()
  };
  // Runs an evaluation and some training steps.
  Run run();
  // What the rank sends in a step: one entry for each group of several ranks, ordered by name. Nobody knows before a
  // step which rows it looks up, so `table_rows` is a bound: that of the mean over the ranks if no two tokens of a rank
  // share a row. A single rank sends more if the others happen to ask for more of the rows that it holds.
  std::vector<SentBytes> sent();

  const Place& place() const { return mesh_->place(); }
  const Model& model() const { return *model_; }

 private:
  int64_t tokens_of_step() const;
  int64_t rows_of_step(const ShardedRowStore& table) const;
  int64_t row_bytes() const;
  int64_t buffer_bytes() const;
  Traffic traffic_of(const std::function<void()>& body);
  Traffic gain_traffic(Trainer& trainer, int64_t microbatches);

  Config config_;
  Traffic traffic_;
  std::unique_ptr<EngramHash> hash_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Model> model_;
};

// The config with the vocabulary of its tokenizer where it names none. Errors: UserError if the tokenizer cannot be
// read.
Config with_vocabulary(Config config);

}  // namespace birkhoff
