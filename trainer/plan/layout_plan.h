#pragma once
#include <string>
#include <vector>

#include "trainer/plan/dry_rank.h"
#include "trainer/plan/memory.h"

namespace birkhoff {

// What every rank of a layout holds and sends, found by a dry run of each rank.
struct LayoutPlan {
  struct Rank {
    Place place;
    MemoryPlan memory;
    std::vector<SentBytes> sent;
    int64_t sent_bytes() const;
  };
  MeshDegrees layout;
  std::vector<Rank> ranks;

  // The lowest of the ranks that hold the most.
  size_t fullest() const;
  int64_t most_sent() const;  // bytes of a step, of the rank that sends the most
};

inline constexpr int64_t kMostPlannedRanks = 4096;
// Plans as if all ranks shared one host. `layout` has passed check_layout(); model.vocab_size is set.
// Errors: UserError if there are more than kMostPlannedRanks ranks.
// Cost: less than a second for each rank of the largest published models.
LayoutPlan plan_layout(const Config& config, const MeshDegrees& layout);

// Tables: the coordinates of every rank; the bytes that it holds, by class; the bytes that it sends in a step, by
// group. Ranks whose rows are equal share a column.
std::string print(const LayoutPlan& plan);
// A line for each layout, those whose fullest rank holds the least first.
std::string print(std::vector<LayoutPlan> plans);

}  // namespace birkhoff
