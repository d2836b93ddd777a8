#include "trainer/plan/describe.h"

#include <algorithm>
#include <map>

#include "parallel/mesh/layout.h"

namespace birkhoff {
namespace {

void count_parameters(const Model& model, ModelDescription& d) {
  const MoeOptions& moe = model.decoder->options().moe;
  const double chosen = moe.num_experts > 0 ? static_cast<double>(moe.top_k) / static_cast<double>(moe.num_experts) : 0;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    auto at = std::find_if(d.counts.begin(), d.counts.end(), [&](const ModelDescription::Count& c) {
      return c.part == p.part && c.predictor == p.predictor && c.role == p.role;
    });
    if (at == d.counts.end()) at = d.counts.insert(at, {p.part, p.predictor, p.role, 0, 0});
    at->parameters += p.shape.count();
    at->active += static_cast<double>(p.shape.count()) * (p.role == Role::experts ? chosen : 1.0);
  }
  for (const PersistentBuffer* b : model.parameters->buffers()) {
    (b->predictor ? d.mtp_router_biases : d.router_biases) += b->shape.count();
  }
}

void list_sites(const Model& model, ModelDescription& d) {
  std::map<std::string, int64_t> sizes;
  std::vector<std::string> order;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    if (p.part != Part::hyper_connections) continue;
    const std::string site = p.name.substr(0, p.name.rfind('.'));
    if (!sizes.contains(site)) order.push_back(site);
    sizes[site] += p.shape.count();
  }
  for (const std::string& site : order) d.sites.push_back({site, sizes[site]});
}

// The bytes of the rank that holds the most. Runs each rank of the layout, as many of them as hold different parts.
void describe_layout(const Config& c, const MeshDegrees& layout, ModelDescription& d) {
  int64_t most = 0;
  d.num_ranks = layout.tp * layout.cp * layout.dp * layout.pp;
  d.layout = layout_name(layout);
  for (int rank = 0; rank < d.num_ranks; ++rank) {
    const RankBytes bytes = DryRank(c, layout, rank).run().bytes;
    if (bytes.of_model() <= most) continue;
    most = bytes.of_model();
    d.fullest_rank = rank;
    d.bytes = bytes;
  }
}

}  // namespace

ModelDescription describe_model(const Config& config, const MeshDegrees& layout) {
  ModelDescription d;
  const Config c = with_vocabulary(config);
  DryRank alone(c, {.dp = 1}, 0);
  const Model& model = alone.model();
  const DecoderOptions& decoder = model.decoder->options();
  count_parameters(model, d);
  list_sites(model, d);
  for (const auto& t : model.tables)
    d.tables.push_back({t->name(), t->num_rows(), t->row_width(), decoder.engram.rows_per_token()});
  d.microbatch_tokens = c.batch.micro_batch_size * c.batch.sequence_length;
  d.sequence_length = c.batch.sequence_length;
  d.flops = flops_terms(decoder, d.sequence_length);
  const DryRank::Run run = alone.run();
  d.counted_forward = run.forward_flops;
  d.counted_training = run.training_flops;
  d.optimizers = run.optimizers;
  d.bytes = run.bytes;
  if (layout_name(layout) != "1") describe_layout(c, layout, d);
  return d;
}

int64_t ModelDescription::total() const {
  int64_t sum = router_biases;
  for (const Count& c : counts) sum += c.predictor ? 0 : c.parameters;
  return sum;
}

int64_t ModelDescription::mtp_total() const {
  int64_t sum = mtp_router_biases;
  for (const Count& c : counts) sum += c.predictor ? c.parameters : 0;
  return sum;
}

double ModelDescription::active() const {
  double sum = static_cast<double>(router_biases);
  for (const Count& c : counts) sum += c.predictor ? 0 : c.active;
  return sum;
}

int64_t ModelDescription::parameters_of(Part part) const {
  int64_t sum = 0;
  for (const Count& c : counts) sum += c.part == part && !c.predictor ? c.parameters : 0;
  return sum;
}

int64_t ModelDescription::table_parameters() const {
  int64_t sum = 0;
  for (const Table& t : tables) sum += t.rows * t.width;
  return sum;
}

}  // namespace birkhoff
