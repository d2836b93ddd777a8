#pragma once
#include <functional>
#include <sstream>
#include <string>

#include "data/json/json.h"
#include "tests/trainer/checkpoint/saves.h"
#include "trainer/checkpoint/commands.h"

namespace birkhoff {

// A directory with checkpoints of steps 10 and 20. Tests edit the manifest of the second one.
class Hostile : public testing::Test {
 protected:
  Hostile() {
    save_once(2, dir_.path(), 10, 10);
    save_once(2, dir_.path(), 20, 20);
    good_ = read_file(path());
  }
  std::filesystem::path newest() const { return dir_ / "step-00000020"; }
  std::filesystem::path path() const { return newest() / kManifestName; }

  // Changes the manifest as JSON and recomputes its checksum.
  void edit(const std::function<void(Json& body)>& change) const {
    Json whole = parse_json(good_, "m");
    change(whole["manifest"]);
    whole["xxh3"] = json_checksum(whole["manifest"]);
    write_file(path(), whole.dump());
  }
  // Loads as a run does, expecting to fall back to step 10. Returns why step 20 was passed over.
  std::string walked_back() const {
    const auto found = load_newest(2, dir_.path(), [](int64_t step) { return step; });
    if (!found || found->manifest.step != 10 || found->passed_over.size() != 1) return "not walked back";
    return found->passed_over[0];
  }
  // Expects inspect, diff and verify to refuse the newest checkpoint; returns the message, which inspect and diff must
  // share.
  std::string refused_by_commands() const {
    std::ostringstream out;
    const std::string inspected = message_of<DataError>([&] { inspect_checkpoint(newest(), out); });
    for (const bool swapped : {false, true}) {
      const auto a = dir_ / "step-00000010", b = newest();
      EXPECT_EQ(message_of<DataError>([&] { diff_checkpoints(swapped ? b : a, swapped ? a : b, out); }), inspected);
    }
    message_of<DataError>([&] { verify_checkpoints(dir_.path(), out); });
    EXPECT_THAT(out.str(), testing::HasSubstr(concat(newest().string(), ": NOT VALID: ")));
    return inspected;
  }
  void flip_first_byte(const std::string& tensor) const {
    const Manifest::Part part = parse_manifest(good_, "m").tensors.at(tensor).parts.at(0);
    std::string bytes = read_file(newest() / part.file);
    bytes[static_cast<size_t>(part.offset)] ^= 1;
    write_file(newest() / part.file, bytes);
  }

  const TempDir dir_;
  std::string good_;
};

}  // namespace birkhoff
