#include "trainer/models/decoder.h"

#include <algorithm>

#include "trainer/models/input.h"

namespace birkhoff {

Decoder::Decoder(Build& build, const DecoderOptions& o) : options_(o) {
  int64_t before = 0;
  for (const int64_t begin : o.stage_begins) {
    BK_ASSERT(begin > before && begin <= o.num_layers + 1, "a stage begins at unit ", begin, ", behind unit ", before,
              " of ", o.num_layers + 2);
    before = begin;
  }
  auto input = std::make_unique<Input>(build, o.vocab_size, o.channels, o.learned_positions, o.residual);
  Embedding& embedding = input->embedding();
  const int heads = 1 + static_cast<int>(o.mtp_depth);
  embedding.table().num_uses = heads + (o.tie_embeddings ? heads : 0);
  units_.push_back({"embedding", std::move(input)});
  make_blocks(build);
  make_head(build, embedding);
  cut();
}

std::unique_ptr<StateModule> Decoder::recomputed(Build& build, std::unique_ptr<Block> block,
                                                 std::optional<StreamGroup>& group) const {
  const DecoderOptions& o = options_;
  if (o.recompute == Recompute::block) return recompute(build, std::move(block));
  if (o.recompute == Recompute::none) return block;
  const int64_t size =
      o.recompute_layers > 0 ? o.recompute_layers : best_stream_group(o.num_layers, o.residual.streams);
  if (!group || group->size() == size) group.emplace(build, Block::transient_bytes);
  return group->add(std::move(block));
}

void Decoder::make_blocks(Build& build) {
  std::optional<StreamGroup> group;
  for (int64_t layer = 0; layer < options_.num_layers; ++layer) {
    const std::string name = "layers." + std::to_string(layer);
    if (begins_stage(1 + layer)) group.reset();
    units_.push_back({name, recomputed(build, make_block(build, name, layer), group)});
  }
}

void Decoder::make_head(Build& build, Embedding& embedding) {
  const DecoderOptions& o = options_;
  std::vector<std::unique_ptr<StateModule>> blocks;
  build.predictor = true;
  for (int64_t d = 0; d < o.mtp_depth; ++d) {
    std::optional<StreamGroup> alone;  // between two predictors lies another head
    blocks.push_back(recomputed(build, make_block(build, "mtp." + std::to_string(d), o.num_layers), alone));
  }
  build.predictor = false;
  auto head = std::make_unique<Head>(build,
                                     HeadOptions{.vocab_size = o.vocab_size,
                                                 .channels = o.channels,
                                                 .tied = o.tie_embeddings,
                                                 .residual = o.residual,
                                                 .z_loss = o.z_loss},
                                     embedding, std::move(blocks));
  head_ = head.get();
  units_.push_back({"head", std::move(head)});
}

bool Decoder::begins_stage(int64_t unit) const {
  return std::find(options_.stage_begins.begin(), options_.stage_begins.end(), unit) != options_.stage_begins.end();
}

void Decoder::cut() {
  std::vector<int64_t> begins{0};
  begins.insert(begins.end(), options_.stage_begins.begin(), options_.stage_begins.end());
  begins.push_back(num_units());
  for (size_t s = 0; s + 1 < begins.size(); ++s) {
    const auto first = static_cast<size_t>(begins[s]), count = static_cast<size_t>(begins[s + 1]) - first;
    stages_.emplace_back(std::span<const Unit>(units_).subspan(first, count), static_cast<int>(first));
  }
}

std::unique_ptr<Block> Decoder::make_block(Build& build, const std::string& name, int64_t layer) {
  const DecoderOptions& o = options_;
  std::unique_ptr<Engram> engram;
  const auto place = std::find(o.engram_layers.begin(), o.engram_layers.end(), layer);
  if (place != o.engram_layers.end()) {
    EngramOptions options = o.engram;
    options.layer = place - o.engram_layers.begin();
    options.streams = o.residual.streams;
    engram = std::make_unique<Engram>(build.in(Part::engram), name + ".engram", o.channels, options);
  }
  ResidualOptions residual = o.residual;
  residual.recompute_streams = o.recompute == Recompute::streams;
  auto attention =
      make_residual(build, name + ".attention", o.channels, sites_++, residual,
                    make_attention(build.in(Part::attention), name + ".attention", o.channels, o.attention));
  const bool dense = o.moe.num_experts == 0 || layer < o.first_dense_layers;
  std::unique_ptr<Module> inner;
  if (dense) {
    inner = std::make_unique<Ffn>(build.in(Part::dense_feed_forward), name + ".ffn", o.channels, o.ffn_hidden, o.ffn);
  } else {
    inner = std::make_unique<Moe>(build, name + ".ffn", o.channels, o.moe);
  }
  auto ffn = make_residual(build, name + ".ffn", o.channels, sites_++, residual, std::move(inner));
  return std::make_unique<Block>(build, std::move(engram), std::move(attention), std::move(ffn));
}

void Decoder::visit(ModuleVisitor& v) {
  for (const Unit& unit : units_) {
    v.begin_unit(unit.name);
    unit.module->visit(v);
  }
}

}  // namespace birkhoff
