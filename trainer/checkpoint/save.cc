#include "trainer/checkpoint/save.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <iomanip>
#include <set>
#include <sstream>

#include "data/file/folder.h"
#include "data/file/regular_file.h"
#include "data/hdf5/bulk_file.h"
#include "kernels/core/hash.h"
#include "kernels/core/thread.h"
#include "trainer/checkpoint/directory.h"
#include "trainer/checkpoint/finite.h"
#include "trainer/checkpoint/layout.h"
#include "trainer/checkpoint/rank_layout.h"
#include "trainer/checkpoint/save_point.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

std::string rank_name(int rank, const char* ending) {
  std::ostringstream name;
  name << "rank-" << std::setw(5) << std::setfill('0') << rank << ending;
  return name.str();
}

// Shares begin at multiples of this many elements, so that small tensors are not split into tiny parts.
constexpr int64_t kShareAlignment = 1024;

class Collect final : public StateVisitor {
 public:
  explicit Collect(Snapshot& out) : out_(out) {}

  void replicated(const std::string& name, Tensor local, const Slice& slice, const Communicator& holders) override {
    BK_ASSERT(local.count() == slice.count(), name, " has ", local.count(), " elements of a slice of ", slice.count());
    // All ranks of `holders` have the same bits, so the tensor may be divided among them in any way.
    const int64_t n = local.count(), blocks = (n + kShareAlignment - 1) / kShareAlignment;
    const int64_t rank = holders.rank(), size = holders.size();
    const int64_t begin = std::min(n, blocks * rank / size * kShareAlignment);
    const int64_t end = rank + 1 == size ? n : std::min(n, blocks * (rank + 1) / size * kShareAlignment);
    // A tensor without elements is recorded once, so that the manifest has its shape and dtype.
    if (end > begin || (slice.global.count() == 0 && rank == 0))
      add({name, local.flat(begin, end - begin), slice.part(begin, end - begin)});
  }
  void shard(const std::string& name, Tensor local, const Slice& slice) override {
    BK_ASSERT(local.count() == slice.count(), name, " has ", local.count(), " elements of a slice of ", slice.count());
    if (local.count() == 0 && slice.global.count() != 0) return;
    add({name, local.flat(0, local.count()), slice});
  }
  void integer(const std::string& name, int64_t& value) override { out_.manifest.integers[name] = value; }
  void real(const std::string& name, double& value) override { out_.manifest.reals[name] = value; }
  void text(const std::string& name, std::string& value) override { out_.manifest.texts[name] = value; }

 private:
  // Each name becomes a dataset in the root group of the file.
  void add(Piece piece) {
    BK_ASSERT(piece.name.find('/') == std::string::npos && names_.insert(piece.name).second, piece.name);
    out_.pieces.push_back(std::move(piece));
  }

  std::set<std::string> names_;
  Snapshot& out_;
};

void check_room(const fs::path& path, const std::vector<Piece>& pieces) {
  int64_t bytes = int64_t{64} << 10;
  // 2048 bytes are more than HDF5's metadata for one dataset.
  for (const Piece& p : pieces) bytes += static_cast<int64_t>(p.data.bytes()) + 2048;
  check_size_limit(path, bytes);
}

void check_values(const Manifest& manifest) {
  for (const auto& [name, value] : manifest.reals) {
    if (!std::isfinite(value)) throw NonfiniteState(concat("the state is not finite: ", name, " is ", value));
  }
}

// Data is written in blocks of kWriteBytes, and the disk writes one block while the next one is hashed. Values are
// checked in pieces of kCheckBytes right after hashing, while a piece is still in the L1 cache. The check then takes a
// tenth of the time of the hash.
constexpr int64_t kWriteBytes = int64_t{1} << 20, kCheckBytes = int64_t{32} << 10;

void hash_checked(Hasher& hasher, const Piece& piece, int64_t begin, int64_t end) {
  const int64_t count = kCheckBytes / static_cast<int64_t>(size_of(piece.data.dtype));
  for (; begin < end; begin += count) {
    const Tensor part = piece.data.flat(begin, std::min(count, end - begin));
    hasher.update(part.data, part.bytes());
    const std::string bad = find_nonfinite(piece.name, piece.slice, begin, part);
    if (!bad.empty()) throw NonfiniteState("the state is not finite: " + bad);
  }
}

// Writes a piece at `offset` and returns its hash. Throws NonfiniteState.
std::string write_checked(const BulkFile& out, int64_t offset, const Piece& piece) {
  Hasher hasher;
  const auto size = static_cast<int64_t>(size_of(piece.data.dtype)), count = kWriteBytes / size;
  for (int64_t done = 0; done < piece.data.count(); done += count) {
    const Tensor block = piece.data.flat(done, std::min(count, piece.data.count() - done));
    hash_checked(hasher, piece, done, done + block.count());
    out.write(offset + done * size, block.data, block.bytes());
    if (block.count() == count) out.begin_sync(offset + done * size, kWriteBytes);
  }
  return hex16(hasher.digest());
}

// Calls both functions at the same time, or one after the other if the system refuses a thread. If both throw, rethrows
// the exception of `first`.
void run_both(const std::function<void()>& first, const std::function<void()>& second) {
  std::array<std::exception_ptr, 2> errors;
  const auto guarded = [&errors](size_t i, const std::function<void()>& body) {
    try {
      body();
    } catch (...) {
      errors[i] = std::current_exception();
    }
  };
  std::thread thread;
  try {
    thread = start_thread("reads back a saved file", [&] { guarded(1, second); });
  } catch (const UserError&) {
  }
  guarded(0, first);
  thread.joinable() ? thread.join() : guarded(1, second);
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace

Snapshot collect(const std::function<void(StateVisitor&)>& state) {
  Snapshot snapshot;
  Collect visitor(snapshot);
  state(visitor);
  return snapshot;
}

void begin_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) throw IoError(concat(folder.string(), ": cannot be made: ", error.message()), error.value());
  make_folder(folder);
}

Manifest write_own(const fs::path& folder, int rank, const Snapshot& snapshot, RankLayout& layout) {
  check_values(snapshot.manifest);
  const std::string name = rank_name(rank, ".h5");
  check_room(folder / name, snapshot.pieces);
  layout.fit(snapshot.pieces);
  const std::vector<H5Dataset>& places = layout.places();
  Manifest record = snapshot.manifest;
  const BulkFile out = BulkFile::create(folder / name);
  out.reserve(layout.bytes());
  layout.copy_to(out);
  reach_save_point(SavePoint::data, rank);
  for (size_t i = 0; i < places.size(); ++i) {
    const Piece& p = snapshot.pieces[i];
    Manifest::Entry& entry = record.tensors[p.name];
    entry.dtype = p.data.dtype;
    entry.shape = p.slice.global;
    entry.parts.push_back({name, p.slice.boxes, places[i].offset, write_checked(out, places[i].offset, p)});
  }
  record.files[name] = {layout.bytes(), ""};
  // While the disk syncs, read the layout back and write the record. The record needs no sync: rank 0 reads it in this
  // save, and an unfinished save is discarded anyway.
  run_both([&] { out.sync(); },
           [&] {
             check_layout(folder, record, name);
             if (rank > 0) write_text(folder / rank_name(rank, ".json"), to_text(record), Durability::none);
           });
  reach_save_point(SavePoint::own_written, rank);
  return record;
}

void publish(const fs::path& directory, int64_t step, int num_ranks, Manifest own,
             const std::map<std::string, std::string>& attachments) {
  const fs::path folder = directory / unfinished_name(step);
  std::vector<Manifest> records{std::move(own)};
  for (int rank = 1; rank < num_ranks; ++rank) {
    const fs::path path = folder / rank_name(rank, ".json");
    records.push_back(parse_manifest(read_regular_file(path), path.string()));
    std::error_code ignored;  // a leftover record is a stray file, which does no harm
    fs::remove(path, ignored);
  }
  Manifest manifest = join(records);
  for (const auto& [name, text] : attachments) {
    write_text(folder / name, text, Durability::durable);
    manifest.files[name] = {static_cast<int64_t>(text.size()), hex16(hash64(text.data(), text.size()))};
  }
  reach_save_point(SavePoint::manifest, 0);
  write_text(folder / kManifestName, to_text(manifest), Durability::none);
  // While the disk syncs, open the checkpoint as a run that resumes from it would.
  run_both(
      [&] {
        BulkFile::open_to_write(folder / kManifestName).sync();
        sync_directory(folder);
      },
      [&] { open_checkpoint(folder); });
  reach_save_point(SavePoint::rename, 0);
  give_name(directory, step);
  reach_save_point(SavePoint::published, 0);
}

}  // namespace birkhoff
