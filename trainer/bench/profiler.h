#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/stream.h"

namespace birkhoff {

// Counts calls, time and FLOPs by op, for one stream. On the meta device, which computes nothing, only the FLOPs have a
// meaning.
class Profiler final : public OpObserver {
 public:
  struct Row {
    int64_t calls = 0;
    double seconds = 0, flops = 0;
  };
  void begin(std::string_view op) override;
  void end() override;
  void flops(double count) override;

  // Rows by op. The time of an op that runs other ops (Muon) does not include theirs.
  const std::map<std::string, Row, std::less<>>& rows() const { return rows_; }
  double total_flops() const;
  // Discards all rows. Must not be called while an op runs, since open ops point to their rows.
  void clear() { rows_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Open {
    Row* row;
    Clock::time_point since;
  };
  std::map<std::string, Row, std::less<>> rows_;
  std::vector<Open> open_;
};

}  // namespace birkhoff
