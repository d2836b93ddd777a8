#include "trainer/checkpoint/save.h"

#include <fstream>
#include <iomanip>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

std::string rank_name(int rank, const char* ending) {
  std::ostringstream name;
  name << "rank-" << std::setw(5) << std::setfill('0') << rank << ending;
  return name.str();
}

// Shares begin on this many elements, so that no two ranks write one page of a small tensor.
constexpr int64_t kShareAlignment = 1024;

class Collect final : public StateVisitor {
 public:
  Collect(int rank, int num_ranks, Snapshot& out) : rank_(rank), num_ranks_(num_ranks), out_(out) {}

  void replicated(const std::string& name, Tensor whole) override {
    const int64_t n = whole.count(), blocks = (n + kShareAlignment - 1) / kShareAlignment;
    const int64_t begin = std::min(n, blocks * rank_ / num_ranks_ * kShareAlignment);
    const int64_t end = rank_ + 1 == num_ranks_ ? n : std::min(n, blocks * (rank_ + 1) / num_ranks_ * kShareAlignment);
    if (end > begin || (n == 0 && rank_ == 0))
      out_.pieces.push_back({name, whole.flat(begin, end - begin), whole.shape, begin});
  }
  void shard(const std::string& name, Tensor local, const Slice& slice) override {
    if (slice.count == 0 && slice.global.count() != 0) return;
    out_.pieces.push_back({name, local.flat(0, slice.count), slice.global, slice.begin});
  }
  void integer(const std::string& name, int64_t& value) override { out_.manifest.integers[name] = value; }
  void real(const std::string& name, double& value) override { out_.manifest.reals[name] = value; }
  void text(const std::string& name, std::string& value) override { out_.manifest.texts[name] = value; }

 private:
  int rank_, num_ranks_;
  Snapshot& out_;
};

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

Snapshot collect(const std::function<void(StateVisitor&)>& state, int rank, int num_ranks) {
  Snapshot snapshot;
  Collect visitor(rank, num_ranks, snapshot);
  state(visitor);
  return snapshot;
}

void begin_folder(const fs::path& folder) {
  fs::remove_all(folder);
  fs::create_directories(folder);
}

void write_own(const fs::path& folder, int rank, const Snapshot& snapshot) {
  const std::string name = rank_name(rank, ".h5");
  std::vector<H5Dataset> places;
  {
    H5File file = H5File::create(folder / name);
    for (const Piece& p : snapshot.pieces) {
      // A slash in a name would make groups; logical names have none.
      places.push_back(file.root().create_dataset(p.name, p.data.dtype, p.data.shape));
    }
    file.close();
  }
  Manifest record = snapshot.manifest;
  {
    const BulkFile out = BulkFile::open_to_write(folder / name);
    for (size_t i = 0; i < places.size(); ++i) {
      const Piece& p = snapshot.pieces[i];
      out.write(places[i], 0, p.data.count(), p.data.data);
      Manifest::Entry& entry = record.tensors[p.name];
      entry.dtype = p.data.dtype;
      entry.shape = p.global;
      entry.parts.push_back(
          {name, p.begin, p.data.count(), places[i].offset, hex16(hash64(p.data.data, p.data.bytes()))});
    }
    out.sync();
  }
  record.files[name] = {static_cast<int64_t>(fs::file_size(folder / name)), ""};
  publish_text(folder / rank_name(rank, ".json"), to_text(record));
}

void publish(const fs::path& directory, int64_t step, int num_ranks,
             const std::map<std::string, std::string>& attachments) {
  const fs::path folder = directory / unfinished_name(step);
  std::vector<Manifest> records;
  for (int rank = 0; rank < num_ranks; ++rank) {
    const fs::path path = folder / rank_name(rank, ".json");
    records.push_back(parse_manifest(read_text(path), path.string()));
    fs::remove(path);
  }
  Manifest manifest = join(records);
  for (const auto& [name, text] : attachments) {
    publish_text(folder / name, text);
    manifest.files[name] = {static_cast<int64_t>(text.size()), hex16(hash64(text.data(), text.size()))};
  }
  publish_text(folder / kManifestName, to_text(manifest));
  const fs::path final = directory / checkpoint_name(step);
  // A checkpoint of this step from before a walk back: it was refused, or the run would have gone on from it.
  if (fs::exists(final)) {
    const fs::path old = directory / (unfinished_name(step) + ".replaced");
    fs::remove_all(old);
    fs::rename(final, old);
    fs::rename(folder, final);
    fs::remove_all(old);
  } else {
    fs::rename(folder, final);
  }
  sync_directory(directory);
}

}  // namespace birkhoff
