// Every kind of damage is found and named, and the loader falls back to the previous checkpoint.
#include "data/json/json.h"
#include "tests/trainer/checkpoint/saves.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Damage : public testing::Test {
 protected:
  Damage() {
    save_once(2, dir_.path(), 10, 10);
    save_once(2, dir_.path(), 20, 20);
  }
  std::filesystem::path newest() const { return dir_ / "step-00000020"; }

  static void flip(const std::filesystem::path& path, int64_t byte, int bit) {
    std::string bytes = read_file(path);
    bytes.at(static_cast<size_t>(byte)) = static_cast<char>(bytes[static_cast<size_t>(byte)] ^ (1 << bit));
    write_file(path, bytes);
  }
  // Loads on two ranks, expecting to fall back to step 10. Returns why step 20 was passed over.
  std::string walked_back() const {
    const auto found = load_newest(2, dir_.path(), [](int64_t step) { return step; });
    if (!found || found->manifest.step != 10 || found->passed_over.size() != 1) return "not walked back";
    return found->passed_over[0];
  }

  const TempDir dir_;
};

TEST_F(Damage, WithoutDamageTheNewestIsLoaded) {
  const auto found = load_newest(2, dir_.path(), [](int64_t step) { return step; });
  EXPECT_EQ(found->manifest.step, 20);
  EXPECT_THAT(found->passed_over, testing::IsEmpty());
}

TEST_F(Damage, AFlippedBitIsFoundInEveryPartOfEveryTensor) {
  const Manifest m = open_checkpoint(newest());
  int bit = 0;
  for (const auto& [name, entry] : m.tensors) {
    for (const Manifest::Part& part : entry.parts) {
      if (part.count() == 0) continue;
      const int64_t bytes = part.count() * static_cast<int64_t>(size_of(entry.dtype));
      for (const int64_t byte : {int64_t{0}, bytes / 2, bytes - 1}) {
        flip(newest() / part.file, part.offset + byte, ++bit % 8);
        const std::string message = message_of<DataError>([&] { verify_checkpoint(newest()); });
        EXPECT_THAT(message, HasSubstr(concat(name, " in ", (newest() / part.file).string(), " at byte ", part.offset,
                                              ": the checksum is ")));
        EXPECT_THAT(message, HasSubstr("expected " + part.xxh3));
        flip(newest() / part.file, part.offset + byte, bit % 8);
      }
    }
  }
  EXPECT_GT(bit, 30);
  EXPECT_EQ(verify_checkpoint(newest()).step, 20);
}

TEST_F(Damage, AFlippedBitInAWeightWalksBack) {
  const auto part = open_checkpoint(newest()).tensors.at("model.matrix").parts.at(1);
  flip(newest() / part.file, part.offset + 5, 3);
  EXPECT_THAT(walked_back(), HasSubstr("model.matrix in " + (newest() / "rank-00001.h5").string() + " at byte "));
}

TEST_F(Damage, AFlippedBitInAMomentWalksBack) {
  const auto part = open_checkpoint(newest()).tensors.at("adamw.m.matrix").parts.at(0);
  flip(newest() / part.file, part.offset, 0);
  EXPECT_THAT(walked_back(), HasSubstr("adamw.m.matrix in " + (newest() / "rank-00000.h5").string() + " at byte "));
}

TEST_F(Damage, AFlippedBitInTheManifestWalksBack) {
  flip(newest() / kManifestName, 500, 0);
  EXPECT_THAT(walked_back(), HasSubstr((newest() / kManifestName).string() + ": "));
}

// A flipped bit may leave the meaning unchanged, for example in white space; the manifest must then be read as before.
// No flipped bit may change the meaning unnoticed.
TEST_F(Damage, NoFlippedBitOfTheManifestPassesUnnoticed) {
  const std::string text = read_file(newest() / kManifestName);
  const std::string meaning = to_text(parse_manifest(text, "m"));
  int refused = 0, tried = 0;
  for (size_t i = 0; i < text.size(); i += 5, ++tried) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i / 5 % 8)));
    try {
      EXPECT_EQ(to_text(parse_manifest(damaged, "m")), meaning) << "byte " << i;
    } catch (const DataError&) {
      refused += 1;
    }
  }
  EXPECT_GT(refused, tried * 9 / 10);
}

TEST_F(Damage, AFlippedBitInAnAttachmentWalksBack) {
  flip(newest() / "config.yaml", 1, 1);
  EXPECT_THAT(walked_back(), HasSubstr((newest() / "config.yaml").string() + ": the checksum is "));
}

TEST_F(Damage, AFlippedBitInTheMetadataOfHdf5WalksBack) {
  flip(newest() / "rank-00000.h5", 20, 1);
  EXPECT_THAT(walked_back(), HasSubstr((newest() / "rank-00000.h5").string()));
}

TEST_F(Damage, ATruncatedFileWalksBack) {
  const auto file = newest() / "rank-00001.h5";
  const auto bytes = std::filesystem::file_size(file);
  std::filesystem::resize_file(file, bytes - 1);
  EXPECT_THAT(walked_back(), HasSubstr(concat(file.string(), ": ", bytes - 1, " bytes, expected ", bytes)));
}

TEST_F(Damage, AFileThatGrewWalksBack) {
  const auto file = newest() / "rank-00001.h5";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) + 1);
  EXPECT_THAT(walked_back(), HasSubstr(file.string() + ": "));
}

TEST_F(Damage, AnEmptyFileWalksBack) {
  std::filesystem::resize_file(newest() / "rank-00000.h5", 0);
  EXPECT_THAT(walked_back(), HasSubstr("rank-00000.h5: 0 bytes, expected "));
}

TEST_F(Damage, AMissingFileWalksBack) {
  std::filesystem::remove(newest() / "rank-00001.h5");
  EXPECT_THAT(walked_back(), HasSubstr("rank-00001.h5: the file is missing"));
}

TEST_F(Damage, AMissingAndAnEmptyAndATruncatedManifestWalkBack) {
  const auto path = newest() / kManifestName;
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_THAT(walked_back(), HasSubstr(path.string() + ": not a checkpoint manifest: the text is broken or cut off"));
  std::filesystem::resize_file(path, 0);
  EXPECT_THAT(walked_back(), HasSubstr("not a checkpoint manifest"));
  std::filesystem::remove(path);
  EXPECT_THAT(walked_back(), HasSubstr(path.string() + ": the file is missing or cannot be read"));
}

TEST_F(Damage, AStrayFileDoesNoHarmAndIsListed) {
  write_file(newest() / "notes.txt", "loss looks good");
  const auto found = load_newest(2, dir_.path(), [](int64_t step) { return step; });
  EXPECT_EQ(found->manifest.step, 20);
  EXPECT_THAT(stray_files(found->path, found->manifest), ElementsAre("notes.txt"));
}

TEST_F(Damage, AnotherFormatVersionIsRefusedWithAdvice) {
  const std::filesystem::path path = newest() / kManifestName;
  const auto refusal = [&](int64_t version) {
    Json whole = parse_json(read_file(path), "m");
    whole["manifest"]["version"] = version;
    whole["xxh3"] = json_checksum(whole["manifest"]);
    write_file(path, whole.dump());
    return walked_back();
  };
  EXPECT_THAT(refusal(Manifest::kVersion + 1),
              HasSubstr("manifest.json: format version 3; this program reads versions 1 to 2. Use the newer program"));
  EXPECT_THAT(refusal(0), HasSubstr("manifest.json: format version 0; this program reads versions 1 to 2"));
}

TEST_F(Damage, AllReasonsAreGivenWhereNothingIsValid) {
  std::filesystem::remove(newest() / "rank-00001.h5");
  flip(dir_ / "step-00000010" / "tokenizer.json", 0, 0);
  const std::string message = message_of<DataError>([&] { load_newest(2, dir_.path(), [](int64_t s) { return s; }); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("no checkpoint in " + dir_.path().string() + " is valid:"), HasSubstr("rank-00001.h5: "),
                    HasSubstr("tokenizer.json: the checksum is "), HasSubstr("--resume none")));
}

TEST_F(Damage, ANamedCheckpointIsRefusedInsteadOfReplaced) {
  std::filesystem::remove(newest() / "rank-00001.h5");
  const std::string message =
      message_of<DataError>([&] { run_ranks(2, [&](Communicator& comm) { require_valid(comm, newest()); }); });
  EXPECT_THAT(message, HasSubstr("rank-00001.h5: the file is missing"));
}

}  // namespace
}  // namespace birkhoff
