// make_seeds FUZZ PROJECT OUT: writes one folder of valid inputs for each target to OUT.
#include <fstream>
#include <iostream>

#include <zlib.h>
#include <zstd.h>

#include "data/hdf5/file.h"
#include "data/json/json.h"
#include "data/shard/format.h"
#include "data/shard/writer.h"
#include "tests/support/temp_dir.h"
#include "trainer/checkpoint/manifest.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

const char kText[] = "hello seeds, hello compression, hello hello hello\n";

void make_shards(const fs::path& out) {
  Sample text, mixed;
  text.segments.push_back(Segment::text({1, 2, 3, 99}));
  mixed.segments.push_back(Segment::text({5, 6, 7}, {1, 0, 1}));
  mixed.segments.push_back(Segment::opaque({1, 2, 3, 4, 5, 6}, {1, 2, 3}));
  text.source_bytes = mixed.source_bytes = 9;
  fs::create_directories(out / "shard");
  write_shard(out / "shard" / "one.h5", {kShardVersion, 100, "digest"}, {text, mixed});
  const TempDir dir;
  ShardWriter writer(dir / "train", {100, "digest"});
  for (int i = 0; i < 3; ++i) writer.add(text);
  write_manifest(dir.path(), {"digest", 100, 1, 2, {{"train", writer.finish()}}});
  write_file(out / "dataset" / "one.json", read_file(dir / "dataset.json"));
}

// A tensor file with more datasets than an object header holds links for.
void make_tensor_file(const fs::path& path, int count, size_t name_bytes) {
  H5File file = H5File::create(path);
  for (const char* name : {"model.a", "model.b", "model.none"}) file.root().create_dataset(name, DType::f32, {0});
  for (int i = 3; i < count; ++i)
    file.root().create_dataset(std::to_string(i) + std::string(name_bytes, 'x'), DType::u8, {1});
  file.close();
}

void make_checkpoint(const fs::path& out) {
  fs::create_directories(out / "tensor_file");
  H5File file = H5File::create(out / "tensor_file" / "one.h5");
  const H5Dataset a = file.root().create_dataset("model.a", DType::f32, {12}),
                  b = file.root().create_dataset("model.b", DType::bf16, {7});
  file.root().create_dataset("model.none", DType::u8, {0});
  file.close();
  make_tensor_file(out / "tensor_file" / "many.h5", 12, 60);  // its links need a heap of several blocks
  make_tensor_file(out / "tensor_file" / "index.h5", 46, 1);  // its links need an index of two levels
  Manifest m;
  m.step = 20;
  m.tensors["model.a"] = {DType::f32,
                          {3, 4},
                          {{"rank-00000.h5", Slice::all({3, 4}).part(0, 5).boxes, a.offset, "0123456789abcdef"},
                           {"rank-00000.h5", Slice::all({3, 4}).part(5, 7).boxes, a.offset + 20, "0123456789abcdef"}}};
  m.tensors["model.b"] = {DType::bf16, {7}, {{"rank-00000.h5", Slice::all({7}).boxes, b.offset, "0123456789abcdef"}}};
  m.integers["trainer.steps"] = 20;
  m.reals["spike.loss.0"] = 0.1;
  m.texts["data.cursor"] = R"({"v":1})";
  m.files["rank-00000.h5"] = {static_cast<int64_t>(fs::file_size(out / "tensor_file" / "one.h5")), ""};
  m.files["config.yaml"] = {5, "0123456789abcdef"};
  Json body = parse_json(to_text(m), "m")["manifest"];
  write_file(out / "manifest" / "one.json", body.dump());
  body["version"] = 1;  // in version 1, parts are flat ranges
  for (const auto& [name, count] : {std::pair{"model.a", 12}, {"model.b", 7}}) {
    Json& parts = body["tensors"][name]["parts"];
    while (parts.size() > 1) parts.erase(1);
    parts[0].erase("boxes");
    parts[0]["begin"] = 0;
    parts[0]["count"] = count;
  }
  write_file(out / "manifest" / "version1.json", body.dump());
}

void make_tokenizer(const fs::path& project, const fs::path& out) {
  Json json = parse_json(read_file(project / "tests/cases/reordered_corpus/tokenizer.json"), "t");
  for (const auto& [token, id] : {std::pair{"ab", 257}, {"12", 258}, {"34", 259}}) {
    json["model"]["vocab"][token] = id;
    json["model"]["merges"].push_back(std::string{token[0], ' ', token[1]});
  }
  write_file(out / "tokenizer" / "one.json", json.dump());
}

void make_packed(const fs::path& out) {
  std::string packed(1000, '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), kText, sizeof kText - 1, 3));
  write_file(out / "zstd" / "one.zst", packed);
  fs::create_directories(out / "gzip");
  const gzFile file = gzopen((out / "gzip" / "one.gz").c_str(), "wb");
  gzwrite(file, kText, sizeof kText - 1);
  gzclose(file);
}

}  // namespace
}  // namespace birkhoff

int main(int, char** argv) {
  using namespace birkhoff;
  const fs::path project = argv[2], out = argv[3];
  write_file(out / "config" / "one.yaml", read_file(project / "tests/cases/reordered_corpus/train.yaml"));
  make_tokenizer(project, out);
  write_file(out / "json_lines" / "one.jsonl",
             "{\"text\": \"seed a\"}\n{\"text\": \"seed \\u00e9\", \"n\": [1, 2.5]}\n{\"text\": \"seed c\"}\n");
  make_shards(out);
  make_checkpoint(out);
  make_packed(out);
  std::ofstream(out / "made");
}
