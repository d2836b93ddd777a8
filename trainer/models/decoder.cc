#include "trainer/models/decoder.h"

#include <algorithm>

#include "trainer/models/input.h"

namespace birkhoff {

Decoder::Decoder(Build& build, const DecoderOptions& o, std::vector<int64_t> stage_begins)
    : options_(o), stage_begins_(std::move(stage_begins)) {
  int64_t before = 0;
  for (const int64_t begin : stage_begins_) {
    BK_ASSERT(begin > before && begin <= o.num_layers + 1, "a stage begins at unit ", begin, ", behind unit ", before,
              " of ", o.num_layers + 2);
    before = begin;
  }
  auto input = std::make_unique<Input>(build, o);
  Embedding& embedding = input->embedding();
  // The table is used by the input, by the input of each MTP predictor and, if it is tied, by the head at each depth.
  // Head::use numbers them.
  const int heads = 1 + static_cast<int>(o.mtp.depth);
  embedding.table().num_uses = heads + (o.tie_embeddings ? heads : 0);
  units_.push_back({"embedding", std::move(input)});
  make_blocks(build);
  make_head(build, embedding);
  cut();  // must come last: stages are views of units_, which must not grow afterwards
}

std::unique_ptr<StateModule> Decoder::recomputed(Build& build, std::unique_ptr<Block> block,
                                                 std::optional<StreamGroup>& group) const {
  const DecoderOptions& o = options_;
  if (o.recompute == Recompute::block) return recompute(build, std::move(block));
  if (o.recompute == Recompute::none) return block;
  const int64_t size =
      o.recompute_layers > 0 ? o.recompute_layers : best_stream_group(o.num_layers, o.residual.num_streams());
  if (!group || group->size() == size) group.emplace(build, Block::transient_bytes);
  return group->add(std::move(block));
}

void Decoder::make_blocks(Build& build) {
  std::optional<StreamGroup> group;
  for (int64_t layer = 0; layer < options_.num_layers; ++layer) {
    const std::string name = "layers." + std::to_string(layer);
    if (begins_stage(unit_of_block(layer))) group.reset();  // a group must not cross a stage boundary
    units_.push_back({name, recomputed(build, make_block(build, name, layer), group)});
  }
}

void Decoder::make_head(Build& build, Embedding& embedding) {
  const DecoderOptions& o = options_;
  std::vector<std::unique_ptr<StateModule>> blocks;
  build.predictor = true;
  for (int64_t d = 0; d < o.mtp.depth; ++d) {
    // Each predictor block has a group of its own, because projections lie between the blocks of two predictors.
    std::optional<StreamGroup> alone;
    blocks.push_back(recomputed(build, make_block(build, "mtp." + std::to_string(d), o.num_layers), alone));
  }
  build.predictor = false;
  auto head = std::make_unique<Head>(build, o, embedding, std::move(blocks));
  head_ = head.get();
  units_.push_back({"head", std::move(head)});
}

bool Decoder::begins_stage(int64_t unit) const {
  return std::find(stage_begins_.begin(), stage_begins_.end(), unit) != stage_begins_.end();
}

void Decoder::cut() {
  std::vector<int64_t> begins{0};
  begins.insert(begins.end(), stage_begins_.begin(), stage_begins_.end());
  begins.push_back(num_units());
  for (size_t s = 0; s + 1 < begins.size(); ++s) {
    const auto first = static_cast<size_t>(begins[s]), count = static_cast<size_t>(begins[s + 1]) - first;
    stages_.emplace_back(std::span<const Unit>(units_).subspan(first, count), static_cast<int>(first));
  }
}

std::unique_ptr<Block> Decoder::make_block(Build& build, const std::string& name, int64_t layer) {
  const DecoderOptions& o = options_;
  std::unique_ptr<Engram> engram;
  const auto place = std::find(o.engram.layers.begin(), o.engram.layers.end(), layer) - o.engram.layers.begin();
  if (place < std::ssize(o.engram.layers)) {
    engram = std::make_unique<Engram>(build.set_part(Part::engram), name + ".engram", o.hidden_size,
                                      o.residual.num_streams(), static_cast<size_t>(place), o.engram);
  }
  const auto residual = [&](const std::string& sublayer, std::unique_ptr<Module> inner) {
    const ResidualSite site{.number = sites_++, .recompute_streams = o.recompute == Recompute::streams};
    return make_residual(build, sublayer, o.hidden_size, site, o.residual, std::move(inner));
  };
  const RotaryOptions* rope = o.position == PositionType::rope ? &o.rope : nullptr;
  auto attention = residual(name + ".attention", make_attention(build.set_part(Part::attention), name + ".attention",
                                                                o.hidden_size, o.attention, rope));
  std::unique_ptr<Module> inner;
  if (o.moe.at(layer)) {
    inner = std::make_unique<Moe>(build, name + ".ffn", o.hidden_size, o.moe, o.ffn.clamp);
  } else {
    inner = std::make_unique<Ffn>(build.set_part(Part::dense_feed_forward), name + ".ffn", o.hidden_size, o.ffn);
  }
  auto ffn = residual(name + ".ffn", std::move(inner));
  return std::make_unique<Block>(build, std::move(engram), std::move(attention), std::move(ffn));
}

void Decoder::visit(ModuleVisitor& v) {
  for (const Unit& unit : units_) {
    v.begin_unit(unit.name);
    unit.module->visit(v);
  }
}

}  // namespace birkhoff
