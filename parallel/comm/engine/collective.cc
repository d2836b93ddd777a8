#include "parallel/comm/engine/collective.h"

#include <algorithm>
#include <cstring>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Up to this size, one step in which every rank combines everything is faster than two steps with less work in each.
constexpr int64_t kSmallAllReduce_bytes = 16 << 10;

// Reading a smaller block in the memory of another process costs more than copying it twice.
constexpr int64_t kSmallestLent_bytes = 16 << 10;

uint64_t key_of_counts(const std::vector<int64_t>& counts) {
  uint64_t key = 14695981039346656037u;
  for (const int64_t count : counts) key = (key ^ static_cast<uint64_t>(count)) * 1099511628211u;
  return key;
}

std::vector<int64_t> even_counts(int64_t total, int ranks) {
  std::vector<int64_t> counts(static_cast<size_t>(ranks), total / ranks);
  for (int64_t r = 0; r < total % ranks; ++r) ++counts[static_cast<size_t>(r)];
  return counts;
}

std::string describe(const StepHeader& h) {
  std::string text = concat("operation ", h.sequence, ", ", name_of(h.op));
  if (h.op == Op::all_reduce || h.op == Op::reduce_scatter_v) text += concat(' ', name_of(h.reduce));
  if (h.op != Op::all_to_all_v) text += concat(" of ", h.count);
  text += concat(' ', h.dtype);
  if (h.op == Op::broadcast) text += concat(" from rank ", h.root);
  return text;
}

// Copies bytes. The two ranges may be the same, or empty.
void copy_bytes(void* to, const void* from, int64_t bytes) {
  if (to != from && bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace

StepHeader header_of(const Operation& o, uint64_t sequence) {
  StepHeader header{.sequence = sequence,
                    .op = o.op,
                    .reduce = o.reduce,
                    .dtype = o.dtype(),
                    .root = o.world_peer,
                    .count = o.op == Op::all_to_all_v ? 0 : o.count(),
                    .counts_key = 0};
  if (o.op == Op::all_gather_v) header.counts_key = key_of_counts(o.out_counts);
  if (o.op == Op::reduce_scatter_v) header.counts_key = key_of_counts(o.in_counts);
  return header;
}

Collective::Collective(Operation operation, const StepHeader& call, Exchange& exchange, const GroupNames& names)
    : operation_(std::move(operation)), exchange_(exchange), names_(names), header_(call) {
  const Operation& o = operation_;
  const auto ranks = static_cast<size_t>(exchange_.size()), here = static_cast<size_t>(exchange_.rank());
  size_of_element_ = static_cast<int64_t>(size_of(o.dtype()));
  auto* out = static_cast<std::byte*>(o.out.data);
  auto* in = static_cast<std::byte*>(o.in.data);
  if (o.op == Op::all_gather_v) {
    std::vector<int64_t> mine(ranks, 0);
    mine[here] = o.in.count();
    add_phase({.pattern = Pattern::gather,
               .out = out,
               .in = in,
               .out_layout = layout_of(o.out_counts),
               .in_layout = layout_of(mine)});
  } else if (o.op == Op::reduce_scatter_v) {
    add_phase(
        {.pattern = Pattern::scatter, .out = out, .in = in, .out_layout = {}, .in_layout = layout_of(o.in_counts)});
  } else if (o.op == Op::all_to_all_v) {
    add_phase({.pattern = Pattern::transpose,
               .out = out,
               .in = in,
               .out_layout = layout_of(o.out_counts),
               .in_layout = layout_of(o.in_counts)});
  } else if (o.op == Op::broadcast) {
    std::vector<int64_t> counts(ranks, 0);
    counts[static_cast<size_t>(o.peer)] = o.out.count();
    add_phase({.pattern = Pattern::gather,
               .out = out,
               .in = in,
               .out_layout = layout_of(counts),
               .in_layout = layout_of(counts)});
  } else {
    plan_all_reduce();
  }
}

void Collective::plan_all_reduce() {
  auto* data = static_cast<std::byte*>(operation_.out.data);
  const int64_t bytes = operation_.bytes();
  if (bytes <= std::min(kSmallAllReduce_bytes, exchange_.common_block_bytes())) {
    const std::vector<int64_t> counts(static_cast<size_t>(exchange_.size()), operation_.out.count());
    add_phase({.pattern = Pattern::combine, .out = data, .in = data, .out_layout = {}, .in_layout = {{}, counts}});
    return;
  }
  const Layout pieces = layout_of(even_counts(operation_.out.count(), exchange_.size()));
  std::byte* mine = data + pieces.begin[static_cast<size_t>(exchange_.rank())] * size_of_element_;
  add_phase({.pattern = Pattern::scatter, .out = mine, .in = data, .out_layout = {}, .in_layout = pieces});
  add_phase({.pattern = Pattern::gather, .out = data, .in = data, .out_layout = pieces, .in_layout = pieces});
}

Collective::Layout Collective::layout_of(std::vector<int64_t> counts) {
  Layout layout{std::vector<int64_t>(counts.size(), 0), std::move(counts)};
  for (size_t r = 1; r < layout.count.size(); ++r) layout.begin[r] = layout.begin[r - 1] + layout.count[r - 1];
  return layout;
}

void Collective::add_phase(Phase phase) {
  const bool common = phase.pattern == Pattern::gather || phase.pattern == Pattern::combine;
  const int64_t limit = common ? exchange_.common_block_bytes() : exchange_.block_bytes();
  int64_t largest = 0;
  for (const Layout* layout : {&phase.in_layout, &phase.out_layout}) {
    for (const int64_t count : layout->count) largest = std::max(largest, count);
  }
  const bool copied = phase.pattern == Pattern::gather || phase.pattern == Pattern::transpose;
  // In `transpose` only some ranks may lend. The others have small blocks, so they need a single round too.
  phase.lent = copied && exchange_.lends() && largest * size_of_element_ > std::min(limit, kSmallestLent_bytes);
  phase.round_elements = phase.lent ? largest : std::max<int64_t>(limit / size_of_element_, 1);
  // At least one round, so that operations without elements are compared too.
  phase.rounds = largest == 0 ? 1 : (largest - 1) / phase.round_elements + 1;
  if (phase.pattern == Pattern::transpose) header_.rounds = phase.rounds;
  phases_.push_back(std::move(phase));
}

// The elements of a rank's block that move in this round.
Collective::Piece Collective::piece(const Layout& layout, int rank) const {
  const auto r = static_cast<size_t>(rank);
  const int64_t from = std::min(round_ * phases_[phase_].round_elements, layout.count[r]);
  return {layout.begin[r] + from, std::min(phases_[phase_].round_elements, layout.count[r] - from)};
}

std::vector<int> Collective::missing() const {
  std::vector<int> ranks;
  for (int r = 0; r < exchange_.size(); ++r) {
    if (!exchange_.has_posted(r)) ranks.push_back(world_rank(r));
  }
  return ranks;
}

std::vector<int> Collective::reading() const {
  std::vector<int> ranks;
  for (int r = 0; state_ == State::releasing && r < exchange_.size(); ++r) {
    if (!exchange_.has_released(r)) ranks.push_back(world_rank(r));
  }
  return ranks;
}

bool Collective::advance() {
  for (;;) {
    switch (state_) {
      case State::offering:
        offer();
        exchange_.post(header_);
        copy_own();
        state_ = State::posted;
        break;
      case State::posted:
        if (!exchange_.arrived()) return false;
        check_headers();
        take();
        exchange_.release();
        state_ = State::releasing;
        break;
      case State::releasing:
        if (!exchange_.reusable()) return false;
        store_combined();
        state_ = State::offering;
        if (++round_ == phases_[phase_].rounds) round_ = 0, ++phase_;
        if (phase_ == phases_.size()) return true;
    }
  }
}

void Collective::offer() {
  const Phase& p = phases_[phase_];
  const int here = exchange_.rank();
  if (p.pattern == Pattern::combine) return exchange_.offer_to_all(p.in, operation_.bytes());
  if (p.pattern == Pattern::gather) {
    const Piece mine = piece(p.in_layout, here);
    if (p.lent) return lend_to_all(mine);
    return exchange_.offer_to_all(p.in + mine.begin * size_of_element_, mine.count * size_of_element_);
  }
  for (int to = 0; to < exchange_.size(); ++to) {
    if (to == here) continue;
    const Piece block = piece(p.in_layout, to);
    const std::byte* data = p.in + block.begin * size_of_element_;
    if (p.lent) {
      exchange_.lend(to, data, block.count * size_of_element_);
    } else {
      exchange_.offer(to, data, block.count * size_of_element_);
    }
  }
}

void Collective::lend_to_all(Piece mine) {
  const std::byte* data = phases_[phase_].in + mine.begin * size_of_element_;
  for (int to = 0; to < exchange_.size(); ++to) {
    if (to != exchange_.rank()) exchange_.lend(to, data, mine.count * size_of_element_);
  }
}

// Every rank compares all headers with that of rank 0, so all ranks fail with the same message.
void Collective::check_headers() const {
  const auto header_from = [&](int r) { return r == exchange_.rank() ? header_ : exchange_.from(r).header; };
  const StepHeader first = header_from(0);
  for (int r = 1; r < exchange_.size(); ++r) {
    const StepHeader other = header_from(r);
    if (first.same_call(other)) continue;
    const bool alike = describe(first) == describe(other);
    throw CommError(concat("the ranks of group ", names_.group, " disagree: rank ", world_rank(0), " calls ",
                           describe(first), ", rank ", world_rank(r), " calls ", describe(other),
                           alike ? " with other counts per rank" : ""));
  }
}

Exchange::Block Collective::received(int from, Piece expected) const {
  const Exchange::Block block = exchange_.from(from);
  const int64_t expected_bytes = expected.count * size_of_element_;
  if (block.bytes != expected_bytes) {
    throw CommError(concat("the ranks of group ", names_.group, " disagree: in ", describe(header_), ", rank ",
                           world_rank(from), " gives ", block.bytes / size_of_element_, " elements to rank ",
                           world_rank(exchange_.rank()), ", which expects ", expected.count));
  }
  return block;
}

void Collective::take() {
  Phase& p = phases_[phase_];
  if (p.pattern == Pattern::gather) return take_copies();
  if (p.pattern != Pattern::transpose) return take_combined();
  // Counts differ between ranks. All ranks must make as many rounds as the one that needs most.
  for (int r = 0; r < exchange_.size(); ++r) {
    if (r != exchange_.rank()) p.rounds = std::max(p.rounds, exchange_.from(r).header.rounds);
  }
  take_copies();
}

void Collective::take_copies() {
  const Phase& p = phases_[phase_];
  for (int r = 0; r < exchange_.size(); ++r) {
    if (r == exchange_.rank()) continue;
    const Piece to = piece(p.out_layout, r);
    if (received(r, to).bytes > 0) exchange_.copy(r, p.out + to.begin * size_of_element_);
  }
}

// Copies this rank's block to itself while the blocks of the others are on their way.
void Collective::copy_own() {
  const Phase& p = phases_[phase_];
  if (p.pattern != Pattern::gather && p.pattern != Pattern::transpose) return;
  const Piece to = piece(p.out_layout, exchange_.rank()), from = piece(p.in_layout, exchange_.rank());
  copy_bytes(p.out + to.begin * size_of_element_, p.in + from.begin * size_of_element_, to.count * size_of_element_);
}

void Collective::take_combined() {
  const Phase& p = phases_[phase_];
  const int here = exchange_.rank();
  const bool all = p.pattern == Pattern::combine;
  const Piece mine = all ? Piece{0, operation_.out.count()} : piece(p.in_layout, here);
  std::vector<const void*> sources(static_cast<size_t>(exchange_.size()));
  for (int r = 0; r < exchange_.size(); ++r) {
    sources[static_cast<size_t>(r)] = r == here ? p.in + mine.begin * size_of_element_ : received(r, mine).data;
  }
  std::byte* out = p.out + round_ * p.round_elements * size_of_element_;
  if (all) {
    // The operation works in place, but the peers may still be reading our input. store_combined() copies the result
    // once they have finished.
    scratch_.resize(static_cast<size_t>(operation_.bytes()));
    out = scratch_.data();
  }
  combine({out, sources, mine.count, operation_.dtype(), operation_.reduce});
}

void Collective::store_combined() {
  if (phases_[phase_].pattern != Pattern::combine) return;
  copy_bytes(phases_[phase_].out, scratch_.data(), operation_.bytes());
}

}  // namespace birkhoff
