#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader/eval_reader.h"
#include "data/loader/loader.h"
#include "data/tokenizer/tokenizer.h"
#include "parallel/mesh/mesh.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/run/progress.h"
#include "trainer/run/run.h"
#include "trainer/step/build.h"

namespace birkhoff {

// What training and evaluation have in common: the ranks, the tokenizer, the model and its state. Every collective
// operation of a session has a deadline.
class Session {
 public:
  // Collective. The caller has called check_same_run() (same_run.h).
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
  void log_groups_without_host_memory() const;

  // Visits everything that a checkpoint holds. Throws UserError if the checkpoint was trained with another tokenizer,
  // and DataError if its Engram tables are addressed in another way.
  void state(StateVisitor& visitor, Progress& progress);
  // Files that a checkpoint carries so that nothing else is needed to resume from it.
  std::map<std::string, std::string> attachments() const;

  // Runs `body`. If memory runs out, throws a UserError that says what the run needs memory for and what to do.
  void within_memory(const std::function<void()>& body) const;

 private:
  void load_tokenizer();
  void plan_memory();
  void take_largest_plan();
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
  int64_t planned_bytes_ = 0;
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace birkhoff
