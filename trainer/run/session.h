#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "parallel/mesh/mesh.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/run/progress.h"
#include "trainer/run/run.h"
#include "trainer/step/build.h"

namespace birkhoff {

// What training and evaluation both stand on: the ranks, the tokenizer, the model and its state. All that it does
// together with its peers has a deadline.
class Session {
 public:
  // Collective; the ranks have been found to run the same (same_run.h).
  Session(WatchedWorld& watched, const LoadedConfig& config, const RunReports& reports);

  const Config& config() const { return config_; }
  const Mesh& mesh() const { return *mesh_; }
  Trainer& trainer() { return *trainer_; }
  int64_t steps_done() const { return trainer_->steps_done(); }
  Model& model() { return *model_; }
  Watchdog::Scope guard_startup() const;
  Watchdog::Scope guard_step() const;
  Watchdog::Scope guard_checkpoint() const;
  Watchdog::Scope guard_evaluation() const;
  const Trace& trace() const { return watched_->trace(); }
  const std::optional<Tokenizer>& tokenizer() const { return tokenizer_; }
  std::filesystem::path directory() const { return config_.run.dir; }
  std::filesystem::path checkpoints() const;

  LoaderOptions loader_options() const;
  EvalOptions eval_options() const;
  Communicator& world() const { return watched_->world(); }
  bool is_root() const { return world().rank() == 0; }
  void log(const std::string& line) const;

  // Everything a checkpoint holds. UserError where it was trained with another tokenizer.
  void state(StateVisitor& visitor, Progress& progress);
  // Files a checkpoint carries so that it needs nothing else.
  std::map<std::string, std::string> attachments() const;

  // Runs `body`; where memory runs out, a UserError says what the run needs of it and what to do.
  void within_memory(const std::function<void()>& body) const;

 private:
  void load_tokenizer();
  void plan_memory();
  void build_model();
  int64_t vocab_rows() const;
  std::string table_description() const;
  void check_tokenizer(StateVisitor& visitor) const;

  Config config_;
  Origins origins_;
  RunReports reports_;
  WatchedWorld* watched_;
  std::unique_ptr<Mesh> mesh_;
  std::optional<Tokenizer> tokenizer_;
  std::string tokenizer_digest_, token_map_digest_, memory_plan_;
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace birkhoff
