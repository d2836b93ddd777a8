#include "trainer/checkpoint/reader.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "data/file/regular_file.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/elements.h"
#include "trainer/checkpoint/finite.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kBlock = int64_t{1} << 20;  // elements read at a time

class Load final : public StateVisitor {
 public:
  Load(const fs::path& folder, const Manifest& manifest, Device device)
      : files_(folder), manifest_(manifest), stream_{device} {}

  void replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator&) override {
    read(name, local, slice);
  }
  void shard(const std::string& name, Tensor local, const Slice& slice) override { read(name, local, slice); }
  void integer(const std::string& name, int64_t& value) override { take(manifest_.integers, name, value); }
  void real(const std::string& name, double& value) override {
    take(manifest_.reals, name, value);
    if (nonfinite.empty() && !std::isfinite(value)) nonfinite = concat(name, " is ", value);
  }
  void text(const std::string& name, std::string& value) override { take(manifest_.texts, name, value); }

  std::vector<std::string> problems;
  std::set<std::string> seen;   // tensors
  std::set<const void*> taken;  // values of the manifest that the state asked for, by address
  int64_t rounded = 0;          // tensors
  std::string nonfinite;        // description of the first value that is not finite

 private:
  template <class T>
  void take(const std::map<std::string, T>& values, const std::string& name, T& value) {
    const auto found = values.find(name);
    if (found == values.end()) {
      problems.push_back(name + " is missing");
    } else {
      taken.insert(&found->second);
      value = found->second;
    }
  }

  void read(const std::string& name, Tensor local, const Slice& slice) {
    BK_ASSERT(local.count() == slice.count(), name, " has ", local.count(), " elements of a slice of ", slice.count());
    seen.insert(name);
    const auto found = manifest_.tensors.find(name);
    if (found == manifest_.tensors.end()) {
      problems.push_back(concat(name, ' ', slice.global, " is missing"));
      return;
    }
    const Manifest::Entry& entry = found->second;
    if (!(entry.shape == slice.global) || !converts(entry.dtype, local.dtype)) {
      problems.push_back(
          concat(name, " is ", entry.dtype, entry.shape, ", this run needs ", local.dtype, slice.global));
      return;
    }
    rounded += size_of(local.dtype) < size_of(entry.dtype);
    buffer_.resize(kBlock * sizeof(double));
    converted_.resize(entry.dtype == local.dtype ? 0 : kBlock * sizeof(double));
    for (int64_t done = 0; done < local.count(); done += kBlock) {
      const int64_t count = std::min(kBlock, local.count() - done);
      read_elements(files_, entry, slice.part(done, count), buffer_.data());
      const Tensor stored{buffer_.data(), entry.dtype, {count}};
      if (nonfinite.empty()) nonfinite = find_nonfinite(name, slice, done, stored);
      from_host(stream_, local.flat(done, count), convert(name, stored, local.dtype).data);
    }
  }

  // Only the reference device computes in f64, so only conversions from and to f64 are needed.
  static bool converts(DType from, DType to) {
    return from == to || (is_float(from) && is_float(to) && (from == DType::f64 || to == DType::f64));
  }

  Tensor convert(const std::string& name, const Tensor& stored, DType dtype) {
    if (dtype == stored.dtype) return stored;
    const Tensor converted{converted_.data(), dtype, stored.shape};
    Stream host;
    copy(host, converted, stored);
    // A value that was infinite before the conversion is loaded as it is; one that only overflowed is an error.
    if (size_of(dtype) < size_of(stored.dtype) && !finite(name, converted) && finite(name, stored)) {
      throw DataError(concat(name, " holds a value that is too large for ", dtype, ", which this run's device needs"));
    }
    return converted;
  }

  static bool finite(const std::string& name, const Tensor& part) {
    return find_nonfinite(name, Slice::all(part.shape), 0, part).empty();
  }

  OpenFiles files_;
  const Manifest& manifest_;
  Stream stream_;
  std::vector<char> buffer_, converted_;
};

// Tensors of the checkpoint that no rank asked for. A rank may leave out tensors of which it holds nothing, so what was
// asked for is combined over all ranks.
std::vector<std::string> unknown_tensors(Communicator& world, const Manifest& manifest,
                                         const std::set<std::string>& seen) {
  std::vector<int32_t> asked;
  for (const auto& [name, entry] : manifest.tensors) asked.push_back(seen.count(name) ? 1 : 0);
  all_reduce_on_host(world, std::span(asked), Reduce::max);
  std::vector<std::string> unknown;
  size_t i = 0;
  for (const auto& [name, entry] : manifest.tensors) {
    if (asked[i++] == 0) unknown.push_back(concat(name, ' ', entry.shape, " is not part of this model"));
  }
  return unknown;
}

// Adds the values of the checkpoint that were not asked for. All ranks ask for the same values, so this needs no
// communication.
template <class T>
void add_unknown(const std::map<std::string, T>& values, Load& load) {
  for (const auto& [name, value] : values) {
    if (!load.taken.contains(&value)) load.problems.push_back(name + " is not a value of this run");
  }
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (size_t i = 0; i < lines.size() && i < 20; ++i) text += "\n  " + lines[i];
  if (lines.size() > 20) text += concat("\n  and ", lines.size() - 20, " more");
  return text;
}

// Whether the run that owns the checkpoint has removed it meanwhile. Rank 0 looks, so that all ranks get the same
// answer.
bool is_gone(Communicator& world, const fs::path& checkpoint) {
  std::error_code error;
  const int64_t gone = world.rank() == 0 && fs::status(checkpoint, error).type() == fs::file_type::not_found;
  return broadcast_on_host(world, gone, 0) != 0;
}

}  // namespace

Loaded load_checkpoint(Communicator& world, const fs::path& checkpoint, const Manifest& manifest, Device device,
                       const std::function<void(StateVisitor&)>& state) {
  Load load(checkpoint, manifest, device);
  agree(world, [&] { state(load); });
  const std::vector<std::string> unknown = unknown_tensors(world, manifest, load.seen);
  load.problems.insert(load.problems.end(), unknown.begin(), unknown.end());
  add_unknown(manifest.integers, load);
  add_unknown(manifest.reals, load);
  add_unknown(manifest.texts, load);
  agree(world, [&] {
    if (load.problems.empty()) return;
    throw DataError(concat(checkpoint.string(), " does not fit this run:", joined(load.problems)));
  });
  std::vector<std::string> nonfinite = gather_texts(world, load.nonfinite);
  std::erase(nonfinite, "");
  return {load.rounded, nonfinite.empty() ? "" : nonfinite[0]};
}

Found require_valid(Communicator& world, const fs::path& checkpoint) {
  Found found{checkpoint, {}, {}};
  agree(world, [&] { found.manifest = verify_checkpoint(checkpoint, world.rank(), world.size()); });
  return found;
}

std::optional<Found> find_newest_valid(Communicator& world, const fs::path& directory) {
  std::map<int64_t, fs::path> checkpoints;
  agree(world, [&] { checkpoints = find_checkpoints(directory); });
  std::string names;
  for (const auto& [step, path] : checkpoints) names += path.filename().string() + ' ';
  // On a shared file system the ranks may see different listings, and then they would verify different checkpoints.
  require_same(world, "checkpoints in " + directory.string(), names);
  std::vector<std::string> passed_over;
  for (auto newest = checkpoints.rbegin(); newest != checkpoints.rend(); ++newest) {
    try {
      Found found = require_valid(world, newest->second);
      found.passed_over = passed_over;
      return found;
    } catch (const DataError& e) {
      if (is_gone(world, newest->second)) return find_newest_valid(world, directory);
      passed_over.push_back(e.what());
    }
  }
  if (checkpoints.empty()) return std::nullopt;
  throw DataError(concat("no checkpoint in ", directory.string(), " is valid:", joined(passed_over),
                         "\nRestore one, or start anew with --resume none"));
}

std::string read_attachment(const fs::path& checkpoint, const std::string& name) {
  return read_regular_file(checkpoint / name);
}

}  // namespace birkhoff
