#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/nn/parameter.h"
#include "trainer/plan/dry_rank.h"
#include "trainer/plan/flops.h"

namespace birkhoff {

// Describes the model of a configuration: its parameters, bytes and FLOPs. They are found by building the model and
// running steps of it on the meta device, which allocates and computes nothing.
struct ModelDescription {
  // The parameters of one role in one part of the model.
  struct Count {
    Part part;
    bool predictor;  // whether they belong to an MTP predictor; these are counted separately
    Role role;
    int64_t parameters = 0;
    double active = 0;  // parameters that one token passes through: routed experts count by top_k / num_experts
  };
  std::vector<Count> counts;  // in the order of the model
  int64_t router_biases = 0, mtp_router_biases = 0;

  struct Table {
    std::string name;
    int64_t rows = 0, width = 0, rows_per_token = 0;
  };
  std::vector<Table> tables;

  // A hyper-connection: the parameters of its mixing, without those of the norm.
  struct Site {
    std::string name;
    int64_t parameters = 0;
  };
  std::vector<Site> sites;

  // Bytes of the rank that holds the most. Without a layout there is one rank.
  RankBytes bytes;
  std::string layout = "1";
  int num_ranks = 1, fullest_rank = 0;
  int64_t microbatch_tokens = 0, sequence_length = 0;

  std::string optimizers;  // the table of Trainer::optimizer_table()

  std::vector<FlopsTerm> flops;                      // per token, by formula
  double counted_forward = 0, counted_training = 0;  // per token, as reported by the ops of the step on the meta device

  // Includes router biases. MTP and Engram tables are counted separately.
  int64_t total() const;
  int64_t mtp_total() const;
  double active() const;
  int64_t parameters_of(Part part) const;  // without MTP
  int64_t table_parameters() const;
};

// `layout` gives dp and has passed check_layout(); only the bytes depend on it.
// Errors: UserError if the vocabulary is that of a tokenizer which cannot be read.
// Cost: less than a second for each rank of the largest published models; memory for the shapes only.
ModelDescription describe_model(const Config& config, const MeshDegrees& layout = {.dp = 1});

// The text that `birkhoff describe model` prints.
std::string print(const ModelDescription& description);

}  // namespace birkhoff
