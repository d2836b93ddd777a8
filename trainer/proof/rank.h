#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "trainer/proof/documents.h"
#include "trainer/proof/whole.h"
#include "trainer/step/routing_tape.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

// Everything of a step that a proof compares, put together from all ranks of the layout on rank 0. On other ranks the
// members of type Whole are empty.
struct StepResult {
  StepReport report;
  double nats = 0;  // per token of an evaluation before the step
  double tokens = 0;
  std::vector<double> targets;                            // per depth
  Whole gradients;                                        // of the parameters, after the sum over ranks
  Whole row_gradients;                                    // of the tables; 0 where no token looked a row up
  std::map<std::string, std::set<int64_t>> touched_rows;  // of each table
  std::map<std::string, std::vector<double>> loads;       // of the experts of each router
  Whole state;                                            // after the update: weights, moments, router biases, tables
};

// One rank of a layout with its part of a model and its trainer.
class ProofRank {
 public:
  // Collective. The config's model is built in the recipe and on the device that it names. Its values are undefined
  // until set_values() or load().
  ProofRank(Communicator& world, const Config& config, MeshDegrees degrees);

  // Random values about as large as after training (trainer/proof/weights.h).
  void set_values();

  // Collective. One step at the peak learning rate of the config on this replica's share of `documents`.
  StepResult step(const DrawnDocuments& documents, int64_t number, Instrument* instrument = nullptr);
  // Collective. The loss of a batch that is not trained on, over its targets.
  double evaluate(const DrawnDocuments& documents, int64_t number, Instrument* instrument = nullptr);
  // Replaces the gradients of the parameters and tables and the loads by those of another layout, updates the weights
  // as its step did, and returns the state. The world must have one rank.
  Whole update_with(const StepResult& other);

  void save(const std::filesystem::path& directory);
  void load(const std::filesystem::path& directory);
  // Collective. Weights, moments, router biases and tables, on rank 0.
  Whole state();
  // Collective. The recorded choices of all ranks (trainer/proof/free_routing.h), on rank 0.
  Whole choices(const RoutingRecord& record);
  // By name of the table, the rows at which the matrices of its balanced update begin.
  std::map<std::string, std::vector<int64_t>> matrix_begins() const;
  // What this rank computes of a step that one rank recorded.
  RoutingTape::Share share() const;
  Model& model() { return *model_; }
  Stream& stream() { return stream_; }

 private:
  std::vector<HeldPart> gradients();
  void collect_rows(StepResult& result);
  void compare_reports(StepResult& result);

  Communicator* world_;
  Config config_;
  double learning_rate_;
  Stream stream_;
  Mesh mesh_;
  std::shared_ptr<const EngramAddresses> engram_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace birkhoff
