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

// The unit that block `layer` is: the embedding is unit 0.
inline int unit_of_block(int64_t layer) { return static_cast<int>(1 + layer); }

// A language model: units in the order of the forward, which are the embedding, the blocks and the head with its
// predictors, cut into stages. What flows from unit to unit is a State; nothing goes into the first one, which reads
// the tokens of the frame's batch, nor out of the last one.
class Decoder {
 public:
  // `stage_begins` names the units at which a further stage begins, ascending: 0 is the embedding, 1 the first block,
  // num_layers + 1 the head. Errors: BugError otherwise.
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
  // The same block, wrapped for the recomputation that the options choose. `group` is that of the blocks before.
  std::unique_ptr<StateModule> recomputed(Build& build, std::unique_ptr<Block> block,
                                          std::optional<StreamGroup>& group) const;

  DecoderOptions options_;
  std::vector<int64_t> stage_begins_;
  std::vector<Unit> units_;
  std::vector<Stage> stages_;
  Head* head_ = nullptr;  // the last unit
  int64_t sites_ = 0;
};

}  // namespace birkhoff
