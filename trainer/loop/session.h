#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "parallel/comm/traced.h"
#include "parallel/comm/watchdog.h"
#include "parallel/mesh/mesh.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/loop/build.h"
#include "trainer/loop/run.h"

namespace birkhoff {

// What training and evaluation both stand on: the ranks, the tokenizer, the model and its state.
class Session {
 public:
  Session(Communicator& world, const LoadedConfig& config, const RunReports& reports);

  const Config& config() const { return config_; }
  Communicator& replicas() const { return mesh_->along(Axis::dp); }
  Trainer& trainer() { return *trainer_; }
  Model& model() { return *model_; }
  Watchdog& watchdog() { return *watchdog_; }
  const Trace& trace() const { return trace_; }
  const std::optional<Tokenizer>& tokenizer() const { return tokenizer_; }
  std::filesystem::path directory() const { return config_.run.dir; }
  std::filesystem::path checkpoints() const;

  LoaderOptions loader_options() const;
  EvalOptions eval_options() const;
  bool first() const { return world_->rank() == 0; }
  void say(const std::string& line) const;

  // Everything a checkpoint holds beside `cursor`, the data's place, which is replaced on loading.
  void state(StateVisitor& visitor, std::string& cursor);
  // Files a checkpoint carries so that it needs nothing else.
  std::map<std::string, std::string> attachments() const;
  // Loads a checkpoint: compares its configuration with this run's, prints what changed, refuses what may not.
  // Returns the data's cursor.
  std::string load(const Found& found);
  // The checkpoint that the settings ask for; nothing to start anew.
  std::optional<Found> find() const;
  // Held-out loss.
  EvaluationResult evaluate(EvalReader& reader);

 private:
  void build_model();
  std::string table_description() const;

  Config config_;
  Origins origins_;
  RunReports reports_;
  Trace trace_;
  std::unique_ptr<Communicator> world_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Watchdog> watchdog_;
  std::optional<Tokenizer> tokenizer_;
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace birkhoff
