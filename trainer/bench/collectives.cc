#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <numeric>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/mpi/mpi_calls.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/timing.h"

namespace birkhoff {
namespace {

constexpr std::array<Op, 4> kOps{Op::all_reduce, Op::reduce_scatter_v, Op::all_gather_v, Op::all_to_all_v};
constexpr std::array<int64_t, 3> kSizes_bytes{64 << 10, 1 << 20, 16 << 20};
constexpr int64_t kBytesOfTiming = 32 << 20;  // so many bytes are moved between two readings of the clock
constexpr int64_t kMostCalls = 64;
constexpr int64_t kReported_bytes = 1 << 20;  // the figures are about this size and above

using PerRank = std::vector<int64_t>;

int64_t sum(const PerRank& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

// Elements that rank `from` gives to rank `to` in all_to_all_v: half of the mean, the mean, or one and a half of it.
int64_t uneven(int64_t mean, int from, int to) { return mean * (1 + (from + 2 * to) % 3) / 2; }

// One operation of one size, with the buffers of this rank. Its values are zeros, which sums leave as they are.
class Case {
 public:
  Case(const Communicator& world, Op op, int64_t bytes) {
    const int n = world.size();
    const int64_t elements = bytes / static_cast<int64_t>(sizeof(float)), mean = elements / n;
    const PerRank even(static_cast<size_t>(n), mean);
    operation_.op = op;
    PerRank in{elements}, out{elements};
    if (op == Op::reduce_scatter_v || op == Op::all_to_all_v) in = even;
    if (op == Op::all_gather_v || op == Op::all_to_all_v) out = even;
    if (op == Op::reduce_scatter_v) out = {mean};
    if (op == Op::all_gather_v) in = {mean};
    for (int r = 0; op == Op::all_to_all_v && r < n; ++r) {
      in[static_cast<size_t>(r)] = uneven(mean, world.rank(), r);
      out[static_cast<size_t>(r)] = uneven(mean, r, world.rank());
    }
    set(in, out);
  }
  const Operation& operation() const { return operation_; }

 private:
  void set(const PerRank& in, const PerRank& out) {
    const bool in_place = operation_.op == Op::all_reduce;
    in_.resize(static_cast<size_t>(in_place ? 0 : sum(in)));
    out_.resize(static_cast<size_t>(sum(out)));
    operation_.out = host_tensor(std::span<float>(out_));
    operation_.in = in_place ? operation_.out : host_tensor(std::span<float>(in_));
    if (!in_place && in.size() > 1) operation_.in_counts = in;
    if (!in_place && out.size() > 1) operation_.out_counts = out;
  }

  std::vector<float> in_, out_;
  Operation operation_;
};

// Seconds of one call on the slowest rank, when all ranks begin together.
double seconds_of_call(Communicator& world, int64_t calls, const std::function<void()>& call) {
  world.barrier();
  const double mine = seconds_of([&] {
    for (int64_t i = 0; i < calls; ++i) call();
  });
  return all_reduce_on_host(world, mine, Reduce::max) / static_cast<double>(calls);
}

double fastest(const std::vector<double>& seconds) { return *std::min_element(seconds.begin(), seconds.end()); }

struct Times {
  std::vector<double> ours_s, mpi_s, ratios;
};

Times timed(Communicator& world, MpiCalls& mpi, const Operation& operation, int64_t bytes, const BenchOptions& o) {
  const int64_t calls = std::clamp<int64_t>(kBytesOfTiming / bytes, 1, kMostCalls);
  Stream host;
  Times times;
  for (int64_t i = 0; i < o.rounds + 1; ++i) {
    const double ours = seconds_of_call(world, calls, [&] { o.unrecorded->start(operation)->wait(host); });
    const double theirs = seconds_of_call(world, calls, [&] { mpi.run(operation); });
    if (i == 0) continue;  // the first round warms up
    times.ours_s.push_back(ours);
    times.mpi_s.push_back(theirs);
    times.ratios.push_back(theirs / ours);
  }
  return times;
}

}  // namespace

Report bench_collectives(Communicator& world, const BenchOptions& o) {
  agree(world, world.size() > 1, "bench collectives needs several ranks; start it with mpirun -n 2");
  // Does not watch for other programs (start_watched_team), because MPI does not either: both keep spinning.
  set_num_threads(1);
  MpiCalls mpi(world);
  ReportTable table{"collectives", {"operation", "kib", "ms", "mpi_ms", "speed_over_mpi", "fastest_over_mpi"}, {}};
  Report report{"collectives", {}, {}, {}};
  for (const Op op : kOps) {
    double least = std::numeric_limits<double>::max();
    for (const int64_t bytes : kSizes_bytes) {
      const Case c(world, op, bytes);
      const Times times = timed(world, mpi, c.operation(), bytes, o);
      const double ratio = median(times.ratios);
      if (bytes >= kReported_bytes) least = std::min(least, ratio);
      table.rows.push_back({std::string(name_of(op)), static_cast<double>(bytes) / 1024, 1e3 * median(times.ours_s),
                            1e3 * median(times.mpi_s), ratio, fastest(times.mpi_s) / fastest(times.ours_s)});
    }
    report.add(concat(name_of(op), "_over_mpi"), least, "", "speed over that of MPI's call, the least from 1 MiB on");
  }
  report.tables.push_back(std::move(table));
  return report;
}

}  // namespace birkhoff
