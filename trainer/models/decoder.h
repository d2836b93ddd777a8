#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/models/block.h"
#include "trainer/models/decoder_options.h"
#include "trainer/models/head.h"
#include "trainer/models/stage.h"
#include "trainer/nn/attention.h"
#include "trainer/nn/moe.h"

namespace birkhoff {

// The unit number of block `layer`. The embedding is unit 0.
inline int unit_of_block(int64_t layer) { return static_cast<int>(1 + layer); }

// A language model as a list of units in forward order: the embedding, the blocks, and the head with the MTP
// predictors. The units are divided into stages. A State flows from unit to unit. The first unit takes an empty State
// and reads the tokens from the frame's batch; the last one returns an empty State.
class Decoder {
 public:
  // `stage_begins`: the numbers of the units at which the second and later stages begin, ascending. 0 is the embedding,
  // 1 the first block, num_layers + 1 the head. Errors: BugError if they do not ascend or are not units after the
  // first.
  Decoder(Build& build, const DecoderOptions& options, std::vector<int64_t> stage_begins = {});

  const std::vector<Unit>& units() const { return units_; }
  int num_units() const { return static_cast<int>(units_.size()); }
  const std::vector<Stage>& stages() const { return stages_; }
  void visit(ModuleVisitor& visitor);
  StepCounter& loss_counter() { return head_->loss_counter(); }
  const DecoderOptions& options() const { return options_; }

 private:
  std::unique_ptr<Block> make_block(Build& build, const std::string& name, int64_t layer);
  void make_blocks(Build& build);
  void make_head(Build& build, Embedding& embedding);
  void cut();
  bool begins_stage(int64_t unit) const;
  // Wraps the block for the recomputation that the options choose. `group` is the stream group of the preceding blocks;
  // it is replaced by a new one when it is full.
  std::unique_ptr<StateModule> recomputed(Build& build, std::unique_ptr<Block> block,
                                          std::optional<StreamGroup>& group) const;

  DecoderOptions options_;
  std::vector<int64_t> stage_begins_;
  std::vector<Unit> units_;
  std::vector<Stage> stages_;
  Head* head_ = nullptr;  // the last unit
  int64_t sites_ = 0;     // sublayers built so far
};

}  // namespace birkhoff
