#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/nn/parameter.h"
#include "trainer/plan/flops.h"

namespace birkhoff {

// What a configuration's model consists of, found by building it and running a step of it on the meta device, where
// nothing is allocated and nothing computed.
struct ModelDescription {
  // The parameters of one role in one part of the model.
  struct Count {
    Part part;
    bool predictor;  // further-token predictors are counted apart
    Role role;
    int64_t parameters = 0;
    double active = 0;  // that a token meets: routed experts by top_k / num_experts
  };
  std::vector<Count> counts;  // in the order of the model
  int64_t router_biases = 0, mtp_router_biases = 0;

  struct Table {
    std::string name;
    int64_t rows = 0, width = 0, rows_per_token = 0;
  };
  std::vector<Table> tables;

  // A residual connection with streams: parameters of its mixing, its norm apart.
  struct Site {
    std::string name;
    int64_t parameters = 0;
  };
  std::vector<Site> sites;

  // Bytes of one replica that is alone; with more, moments and tables are divided among them.
  struct Bytes {
    int64_t weights = 0, packed_weights = 0, gradients = 0, moments = 0, tables = 0, table_moments = 0, activations = 0;
    int64_t kernel_scratch = 0;
  };
  Bytes bytes;
  int64_t microbatch_tokens = 0, sequence_length = 0;

  std::string optimizers;  // the table of optimizer_table()

  std::vector<FlopsTerm> flops;                      // per token, by formula
  double counted_forward = 0, counted_training = 0;  // per token, as the ops of the meta step report

  // Router biases included, MTP and Engram tables apart.
  int64_t total() const;
  int64_t mtp_total() const;
  double active() const;
  int64_t parameters_of(Part part) const;  // predictors apart
  int64_t table_parameters() const;
};

// Errors: UserError if the configuration leaves the vocabulary to a tokenizer that cannot be read.
// Cost: seconds for the largest published models; memory for the shapes alone.
ModelDescription describe_model(const Config& config);

// As `birkhoff describe model` prints it.
std::string print(const ModelDescription& description);

}  // namespace birkhoff
