#include "trainer/checkpoint/save.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iomanip>
#include <set>

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
    if (end > begin || (n == 0 && rank_ == 0)) add({name, whole.flat(begin, end - begin), whole.shape, begin});
  }
  void shard(const std::string& name, Tensor local, const Slice& slice) override {
    if (slice.count == 0 && slice.global.count() != 0) return;
    add({name, local.flat(0, slice.count), slice.global, slice.begin});
  }
  void integer(const std::string& name, int64_t& value) override { out_.manifest.integers[name] = value; }
  void real(const std::string& name, double& value) override { out_.manifest.reals[name] = value; }
  void text(const std::string& name, std::string& value) override { out_.manifest.texts[name] = value; }

 private:
  // Names are datasets in the root group.
  void add(Piece piece) {
    BK_ASSERT(piece.name.find('/') == std::string::npos && names_.insert(piece.name).second, piece.name);
    out_.pieces.push_back(std::move(piece));
  }

  int rank_, num_ranks_;
  std::set<std::string> names_;
  Snapshot& out_;
};

std::atomic<SavePointFn> save_point{nullptr};
void at(SavePoint point, int rank) {
  if (const SavePointFn fn = save_point) fn(point, rank);
}

// The file with its datasets, which have no bytes yet.
std::vector<H5Dataset> lay_out(MemoryFile& layout, const std::vector<Piece>& pieces) {
  std::vector<H5Dataset> places;
  H5File file = H5File::create(layout.path());
  layout.unname();
  for (const Piece& p : pieces) places.push_back(file.root().create_dataset(p.name, p.data.dtype, p.data.shape));
  file.close();
  return places;
}

// In blocks that stay in the cache between the hash and the write, and which the disk writes while others are hashed.
constexpr size_t kBlock = size_t{1} << 20;
std::string write_hashed(const BulkFile& out, int64_t offset, const Tensor& data) {
  Hasher hasher;
  const auto* bytes = static_cast<const char*>(data.data);
  for (size_t done = 0; done < data.bytes();) {
    const size_t part = std::min(kBlock, data.bytes() - done);
    hasher.update(bytes + done, part);
    out.write(offset + static_cast<int64_t>(done), bytes + done, part);
    if (part == kBlock) out.begin_sync(offset + static_cast<int64_t>(done), static_cast<int64_t>(part));
    done += part;
  }
  return hex16(hasher.digest());
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

void inject_save_point(SavePointFn fn) { save_point = fn; }

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
  MemoryFile layout;
  const std::vector<H5Dataset> places = lay_out(layout, snapshot.pieces);
  Manifest record = snapshot.manifest;
  const BulkFile out = BulkFile::create(folder / name);
  out.reserve(layout.bytes());
  layout.copy_to(out);
  at(SavePoint::data, rank);
  for (size_t i = 0; i < places.size(); ++i) {
    const Piece& p = snapshot.pieces[i];
    Manifest::Entry& entry = record.tensors[p.name];
    entry.dtype = p.data.dtype;
    entry.shape = p.global;
    entry.parts.push_back(
        {name, p.begin, p.data.count(), places[i].offset, write_hashed(out, places[i].offset, p.data)});
  }
  out.sync();
  record.files[name] = {layout.bytes(), ""};
  // Read by rank 0 and removed, so it need not outlive the machine.
  write_text(folder / rank_name(rank, ".json"), to_text(record), Durability::none);
  at(SavePoint::own_written, rank);
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
    write_text(folder / name, text, Durability::durable);
    manifest.files[name] = {static_cast<int64_t>(text.size()), hex16(hash64(text.data(), text.size()))};
  }
  at(SavePoint::manifest, 0);
  write_text(folder / kManifestName, to_text(manifest), Durability::durable);
  sync_directory(folder);
  at(SavePoint::rename, 0);
  give_name(directory, step);
  at(SavePoint::published, 0);
}

}  // namespace birkhoff
