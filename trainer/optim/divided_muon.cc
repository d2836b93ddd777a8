#include "trainer/optim/divided_muon.h"

#include <map>
#include <numeric>

#include "kernels/core/error.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"

namespace birkhoff {
namespace {

std::vector<int64_t> doubled(std::vector<int64_t> counts) {
  for (int64_t& count : counts) count *= 2;
  return counts;
}

int64_t sum_of(const std::vector<int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

}  // namespace

DividedMuon::DividedMuon(Arena& memory, const ParameterStore& parameters, const Types& types)
    : compute_(types.compute) {
  std::map<Axis, int> positions;  // of this rank in the groups over which gradients are summed
  for (size_t entry = 0; entry < parameters.entries().size(); ++entry) {
    const std::optional<Axis> axis = parameters.divided_over(entry);
    const GradientSum sum = parameters.entries()[entry].parameter->gradient_sum();
    if (axis) positions[*axis] = parameters.mesh().group(group_of(sum)).rank();
  }
  for (const auto& [axis, position] : positions) add_team(memory, parameters, axis, position, types.moments);
}

void DividedMuon::add_team(Arena& memory, const ParameterStore& parameters, Axis axis, int position, DType moments) {
  const Mesh& mesh = parameters.mesh();
  Team team{&mesh.group(group_along(axis)), {}};
  const int ranks = team.group->size(), own = team.group->rank();
  BK_ASSERT(own == mesh.coordinate(axis), "rank ", own, " along ", name_of(axis));
  const std::vector<DividedMatrix> list = divided_matrices(parameters, axis, position);
  std::map<const Parameter*, std::vector<Slice>> held_by_ranks;
  for (const DividedMatrix& m : list) {
    Parameter& p = *parameters.entries()[m.entry].parameter;
    std::vector<Slice>& held = held_by_ranks[&p];
    for (int rank = static_cast<int>(held.size()); rank < ranks; ++rank) {
      held.push_back(held_by(mesh.place().with(axis, rank), p.shape, p.division).slice);
    }
    team.matrices.push_back(matrix_of(p, m, held, own));
  }
  add_momenta(memory, team, list, moments);
  teams_.push_back(std::move(team));
}

// `held` are the parts of the parameter that the ranks hold, `own` this rank.
DividedMuon::Matrix DividedMuon::matrix_of(Parameter& p, const DividedMatrix& m, const std::vector<Slice>& held,
                                           int own) {
  const Slice whole = slice_of(p, m.place);
  CommonRows mine = common_rows(p.held, whole);
  Matrix matrix{&p, m.place.shape(), std::move(mine.first), mine.count};
  if (m.rank != own) return matrix;
  for (const Slice& slice : held) {
    CommonRows part = common_rows(slice, whole);
    matrix.parts.push_back(std::move(part.second));
    matrix.part_counts.push_back(part.count);
  }
  return matrix;
}

// The momenta of a parameter lie one after the other.
void DividedMuon::add_momenta(Arena& memory, Team& team, const std::vector<DividedMatrix>& list, DType moments) {
  std::map<std::pair<size_t, int64_t>, Matrix*> own;  // by entry and number
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].rank == team.group->rank()) own[{list[i].entry, list[i].number}] = &team.matrices[i];
  }
  Stream stream{memory.device()};
  for (auto first = own.begin(); first != own.end();) {
    const size_t entry = first->first.first;
    const auto last = own.lower_bound({entry + 1, 0});
    const Parameter& p = *first->second->parameter;
    Slice slice{p.shape, {}};
    for (auto m = first; m != last; ++m) {
      const Slice part = slice_of(p, list[static_cast<size_t>(m->second - team.matrices.data())].place);
      slice.boxes.insert(slice.boxes.end(), part.boxes.begin(), part.boxes.end());
    }
    const Tensor all = memory.take(moments, {slice.count()});
    fill_zero(stream, all);
    int64_t at = 0;
    for (; first != last; ++first) {
      Matrix& m = *first->second;
      m.momentum = all.flat(at, m.shape.count()).view(m.shape);
      at += m.shape.count();
    }
    momenta_.push_back({p.name, std::move(slice), all});
  }
}

void DividedMuon::step(Stream& stream, Arena& workspace, const MuonHyper& hyper) {
  for (const Team& team : teams_) {
    const auto ranks = static_cast<size_t>(team.group->size());
    for (size_t first = 0; first < team.matrices.size(); first += ranks) {
      step_round(stream, workspace, team, first, hyper);
    }
  }
}

// In the last round, some ranks may have nothing to update.
void DividedMuon::step_round(Stream& stream, Arena& workspace, const Team& team, size_t first, const MuonHyper& hyper) {
  const auto ranks = static_cast<size_t>(team.group->size()), own = first + static_cast<size_t>(team.group->rank());
  std::vector<int64_t> given(ranks, 0), taken(ranks, 0);
  for (size_t i = 0; i < ranks && first + i < team.matrices.size(); ++i) given[i] = team.matrices[first + i].held_count;
  if (own < team.matrices.size()) taken = team.matrices[own].part_counts;
  const ArenaScope scope(workspace);
  const Tensor sent = workspace.take(DType::f32, {2 * sum_of(given)});
  const Tensor received = workspace.take(DType::f32, {2 * sum_of(taken)});
  int64_t at = 0;
  for (size_t i = 0; i < ranks && first + i < team.matrices.size(); ++i) {
    const Matrix& m = team.matrices[first + i];
    pack(stream, sent.flat(at, given[i]), m.parameter->grad, m.held);
    pack(stream, sent.flat(at + given[i], given[i]), m.parameter->value, m.held);
    at += 2 * given[i];
  }
  team.group->all_to_all_v(stream, received, doubled(taken), sent, doubled(given))->wait(stream);
  if (own < team.matrices.size()) update(stream, workspace, team.matrices[own], received, hyper);
  const Tensor returned = sent.flat(0, sum_of(given));
  team.group->all_to_all_v(stream, returned, given, received.flat(0, sum_of(taken)), taken)->wait(stream);
  at = 0;
  for (size_t i = 0; i < ranks && first + i < team.matrices.size(); ++i) {
    const Matrix& m = team.matrices[first + i];
    unpack(stream, m.parameter->value, returned.flat(at, given[i]), m.held);
    at += given[i];
  }
}

// `received` holds the gradient and the values of each part. It gets the new values of all parts, at its begin.
void DividedMuon::update(Stream& stream, Arena& workspace, const Matrix& m, Tensor received, const MuonHyper& hyper) {
  const ArenaScope scope(workspace);
  const Tensor grad = workspace.take(DType::f32, m.shape), weight = workspace.take(DType::f32, m.shape);
  int64_t at = 0;
  for (size_t rank = 0; rank < m.parts.size(); ++rank) {
    const int64_t count = m.part_counts[rank];
    unpack(stream, grad, received.flat(at, count), m.parts[rank]);
    unpack(stream, weight, received.flat(at + count, count), m.parts[rank]);
    at += 2 * count;
  }
  update_whole(
      stream, workspace,
      {.weight = weight, .momentum = m.momentum, .weight_copy = {}, .grad = grad, .hyper = hyper, .compute = compute_},
      m.parts.size());
  at = 0;
  for (size_t rank = 0; rank < m.parts.size(); ++rank) {
    pack(stream, received.flat(at, m.part_counts[rank]), weight, m.parts[rank]);
    at += m.part_counts[rank];
  }
}

void DividedMuon::update_whole(Stream& stream, Arena& workspace, const MuonArgs& args, size_t ranks) {
  if (!BK_DEFECT("D22 Muon per shard")) return muon(stream, workspace, args);
  // As if each rank updated its share of the rows alone.
  const int64_t rows = args.weight.shape[0], n = static_cast<int64_t>(ranks);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t begin = rows * i / n, count = rows * (i + 1) / n - begin;
    MuonArgs share = args;
    for (Tensor* t : {&share.weight, &share.momentum, &share.grad}) *t = t->rows(begin, count);
    muon(stream, workspace, share);
  }
}

void DividedMuon::state(StateVisitor& v) {
  for (const Momentum& m : momenta_) v.shard("muon.momentum." + m.name, m.whole, m.slice);
}

}  // namespace birkhoff
