#include "trainer/run/same_run.h"

#include <iomanip>
#include <sstream>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "kernels/core/process_tag.h"
#include "parallel/comm/agree.h"
#include "trainer/config/layout_rules.h"

namespace birkhoff {
namespace {

constexpr size_t kMostRows = 16;  // of the table of ranks

// What one rank runs; sent as four lines of text.
struct Identity {
  std::string host, program, configuration, options;

  bool differs(const Identity& other) const {
    return program != other.program || configuration != other.configuration || options != other.options;
  }
};

Identity identity_of(const std::string& text) {
  std::istringstream in(text);
  Identity i;
  std::getline(in, i.host);
  std::getline(in, i.program);
  std::getline(in, i.configuration);
  std::getline(in, i.options);
  return i;
}

// A table of rank 0 and the ranks that differ from it.
std::string table_of(const std::vector<Identity>& ranks) {
  std::ostringstream out;
  out << "  rank | host | binary | configuration\n";
  size_t rows = 0, others = 0;
  for (size_t r = 0; r < ranks.size(); ++r) {
    if (r > 0 && !ranks[r].differs(ranks[0])) continue;
    if (++rows > kMostRows) {
      others += 1;
      continue;
    }
    out << std::setw(6) << r << " | " << ranks[r].host << " | " << ranks[r].program << " | " << ranks[r].configuration
        << '\n';
  }
  if (others > 0) out << "  and " << others << " more that differ from rank 0\n";
  return out.str();
}

std::string differing_settings(const std::string& of_first, const std::string& of_other, size_t rank) try {
  std::ostringstream out;
  for (const ConfigChange& c : diff_configs(parse_config(of_first).config, parse_config(of_other).config)) {
    out << "  " << c.path << ": " << c.before << " on rank 0, " << c.after << " on rank " << rank << '\n';
  }
  return out.str();
} catch (const std::exception&) {
  return concat("  this binary cannot read the configurations of ranks 0 and ", rank, '\n');
}

}  // namespace

void check_same_inputs(Communicator& world, const Config& config, const std::string& program,
                       const std::string& options) {
  const std::string mine = concat(host_name(), '\n', program, '\n', hex16(digest_config(config)), '\n', options, '\n');
  std::vector<Identity> ranks;
  for (const std::string& text : gather_texts(world, mine)) ranks.push_back(identity_of(text));
  size_t other = 0, configured = 0;
  // Counts down, so that `configured` is in the end the lowest rank with another configuration.
  for (size_t r = ranks.size(); r-- > 1;) {
    if (ranks[r].differs(ranks[0])) other = r;
    if (ranks[r].configuration != ranks[0].configuration) configured = r;
  }
  if (other == 0) return;
  std::string what;
  // The full texts are exchanged only in the error case; all ranks have the same `ranks`, so all of them get here.
  const std::vector<std::string> texts = gather_texts(world, print_config(config));
  if (configured > 0) what = differing_settings(texts[0], texts[configured], configured);
  if (ranks[other].options != ranks[0].options)
    what += concat("  ", ranks[0].options, " on rank 0, ", ranks[other].options, " on rank ", other, '\n');
  throw_on_all(concat("the ranks do not run the same program with the same configuration:\n", table_of(ranks), what,
                      "Start all ranks with one binary, one configuration, the same options and the same --set"));
}

void check_same_run(Communicator& world, const Config& config, const std::string& program) {
  check_same_inputs(world, config, program);
  agree(world, [&] { check_world(config, world.size()); });
}

}  // namespace birkhoff
