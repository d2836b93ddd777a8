// Ranks of a group that call different collectives get an error, in every group that a mesh can have.
#include <latch>
#include <set>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/threads/run_ranks.h"
#include "parallel/mesh/mesh.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kRanks = 8;

// The rank that calls something else than the others of its group. It is the last of each of its groups.
constexpr int kOdd = kRanks - 1;

struct Mismatch {
  const char* name;
  std::string expected, odd;  // what the message says of the others and of the odd rank
  std::function<void(Communicator& group, bool is_odd)> call;
};

Tensor tensor_of(std::vector<double>& v, int64_t count, DType dtype = DType::f64) { return {v.data(), dtype, {count}}; }

std::vector<Mismatch> mismatches() {
  const auto sum = [](Communicator& group, int64_t count, DType dtype = DType::f64) {
    std::vector<double> v(12);
    wait_on_host(group.all_reduce(host_stream(), tensor_of(v, count, dtype)));
  };
  const auto send_first = [](Communicator& group) {
    std::vector<double> v(3);
    wait_on_host(group.broadcast(host_stream(), tensor_of(v, 3), 0));
  };
  return {{"size", "operation 0, all_reduce sum of 12 f64", "operation 0, all_reduce sum of 11 f64",
           [=](Communicator& group, bool is_odd) { sum(group, is_odd ? 11 : 12); }},
          {"dtype", "operation 0, all_reduce sum of 12 f64", "operation 0, all_reduce sum of 12 i64",
           [=](Communicator& group, bool is_odd) { sum(group, 12, is_odd ? DType::i64 : DType::f64); }},
          {"order", "operation 0, broadcast of 3 f64 from rank ", "operation 0, all_reduce sum of 12 f64",
           [=](Communicator& group, bool is_odd) {
             if (!is_odd) send_first(group);
             sum(group, 12);
             if (is_odd) send_first(group);
           }},
          {"one operation too few", "operation 1, all_reduce sum of 12 f64", "operation 1, all_reduce sum of 5 f64",
           [=](Communicator& group, bool is_odd) {
             sum(group, 3);
             if (!is_odd) sum(group, 12);
             sum(group, 5);
           }}};
}

// Groups that all ranks of the world make in the same order, each with a name of its own.
std::vector<Communicator*> groups_of(const Mesh& mesh) {
  std::vector<Communicator*> groups;
  for (int g = 0; g < kNumGroups; ++g) {
    Communicator& group = mesh.group(static_cast<Group>(g));
    const bool is_new = std::find(groups.begin(), groups.end(), &group) == groups.end();
    if (is_new && group.size() > 1) groups.push_back(&group);
  }
  return groups;
}

std::string failure_of(const MeshDegrees& degrees, const std::string& name, const Mismatch& mismatch) {
  try {
    run_ranks(kRanks, [&](Communicator& world) {
      const Mesh mesh(world, degrees);
      // The last rank is in one group of this name. The ranks of the others call the same and end without an error.
      for (Communicator* group : groups_of(mesh)) {
        if (group->name() == name && group->world_rank(group->size() - 1) == kOdd)
          mismatch.call(*group->split(0, group->rank(), name), world.rank() == kOdd);
      }
    });
  } catch (const CommError& e) {
    return e.what();
  }
  return "no failure";
}

struct Named {
  std::string name;
  int first = 0;  // the lowest rank of the group of this name that has the odd rank
};

std::vector<Named> names_at(const MeshDegrees& degrees) {
  std::vector<Named> names;
  run_ranks(kRanks, [&](Communicator& world) {
    const Mesh mesh(world, degrees);
    if (world.rank() != kOdd) return;
    for (Communicator* group : groups_of(mesh)) names.push_back({group->name(), group->world_rank(0)});
  });
  return names;
}

// Layouts in which, together, every group has members of its own.
const std::vector<MeshDegrees> kLayouts{{.tp = 2, .etp = 4},
                                        {.tp = 2, .ep = 4},
                                        {.cp = 2, .pp = 2},
                                        {.tp = 2, .engram = 4},
                                        {.tp = 2, .cp = 2},
                                        {.tp = 2, .pp = 4},
                                        {.tp = 2, .ep = 8, .dispatch = Dispatch::grouped, .ep_groups = 2}};

TEST(Disagreement, IsNamedInEveryGroup) {
  std::set<std::string> seen;
  for (const MeshDegrees& degrees : kLayouts) {
    for (const auto& [name, first] : names_at(degrees)) {
      if (!seen.insert(name).second) continue;
      for (const Mismatch& m : mismatches()) {
        EXPECT_THAT(
            failure_of(degrees, name, m),
            AllOf(HasSubstr(concat("the ranks of group ", name, " disagree: rank ", first, " calls ", m.expected)),
                  HasSubstr(concat(", rank ", kOdd, " calls ", m.odd))))
            << m.name << " in " << name;
      }
    }
  }
  for (int g = 0; g < kNumGroups; ++g)
    EXPECT_TRUE(seen.contains(std::string(name_of(static_cast<Group>(g))))) << name_of(static_cast<Group>(g));
}

// Only the receiver of a block sees that its size is wrong; the others end with its error.
TEST(Disagreement, OfTheSizeOfABlockNamesBothRanksAsInTheWorld) {
  const Mismatch blocks{"blocks", "", "", [](Communicator& group, bool is_odd) {
                          std::vector<double> out(8), in(8);
                          std::vector<int64_t> given(static_cast<size_t>(group.size()), 2), taken = given;
                          if (is_odd) taken[0] = 1;
                          const int64_t all = 2 * group.size();
                          wait_on_host(group.all_to_all_v(host_stream(), tensor_of(out, is_odd ? all - 1 : all), taken,
                                                          tensor_of(in, all), given));
                        }};
  EXPECT_THAT(failure_of({.tp = 2, .ep = 4}, "dp", blocks),
              HasSubstr("the ranks of group dp disagree: in operation 0, all_to_all_v f64, rank 1 gives 2 elements to "
                        "rank 7, which expects 1"));
}

// In a group whose ranks have other numbers in the world, every message has the latter.
TEST(Disagreement, MessagesNameRanksAsInTheWorld) {
  const auto failure = [](const std::function<void(Communicator & dp)>& body) -> std::string {
    try {
      run_ranks(4, [&](Communicator& world) {
        const Mesh mesh(world, {.tp = 2});
        if (mesh.coordinate(Axis::tp) == 1) body(mesh.group(Group::dp));  // ranks 1 and 3
        world.barrier();
      });
    } catch (const Error& e) {
      return e.what();
    }
    return "no failure";
  };
  EXPECT_THAT(
      failure([](Communicator& dp) {
        std::vector<double> v(4);
        const Tensor t = tensor_of(v, 4);
        wait_on_host(dp.rank() == 0 ? dp.send(host_stream(), t, 1, 5) : dp.recv(host_stream(), tensor_of(v, 3), 0, 5));
      }),
      HasSubstr("the ranks of group dp disagree: rank 1 calls send of 4 f64 to rank 3 tag 5, rank 3 calls recv of "
                "3 f64 from rank 1 tag 5"));
  std::latch dropped(1);
  EXPECT_THAT(failure([&](Communicator& dp) {
                std::vector<double> v(4);
                if (dp.rank() == 0) {
                  dropped.wait();
                  dp.barrier();
                } else {  // the root does not call it, so it is pending
                  dp.broadcast(host_stream(), tensor_of(v, 4), 0);
                  dropped.count_down();
                }
              }),
              HasSubstr("rank 3 left while its broadcast of 4 f64 from rank 1 in group dp was pending"));
  EXPECT_THAT(failure([](Communicator& dp) { agree(dp, dp.rank() == 0, "no room"); }), HasSubstr("rank 3: no room"));
  EXPECT_THAT(failure([](Communicator& dp) { require_same(dp, "the seed", std::to_string(dp.rank())); }),
              HasSubstr("rank 3: the seed differs: '1' here, '0' on rank 1"));
}

TEST(RankNames, HaveTheCoordinates) {
  const auto degrees = resolve_degrees({.tp = 2, .ep = 4}, kRanks);
  EXPECT_EQ(describe_rank(5, degrees), "rank 5 (tp 1, dp 2, ep 1)");
  EXPECT_EQ(describe_rank(0, resolve_degrees({}, 1)), "rank 0");
  const LayoutNames names = names_of_layout({.tp = 2, .ep = 4}, kRanks);
  EXPECT_EQ(names.layout, "tp2.dp4.ep4");
  EXPECT_EQ(names.coordinates.at(7), "tp 1, dp 3, ep 3");
  EXPECT_EQ(name_of_rank(7, kRanks, names), "rank 7 of 8 (tp 1, dp 3, ep 3)");
  EXPECT_EQ(name_of_rank(9, 10, names), "rank 9 of 10");
  run_ranks(2, [](Communicator& world) {
    const Mesh mesh(world, {});
    EXPECT_EQ(mesh.names().layout, mesh.describe());
    EXPECT_EQ(mesh.names().coordinates.at(1), "dp 1");
  });
}

}  // namespace
}  // namespace birkhoff
