#include "trainer/run/resume.h"

#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

// The checkpoints in a directory of checkpoints, or in the directory of a run that keeps them at the usual place.
std::map<int64_t, std::filesystem::path> checkpoints_below(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return {};
  const auto own = find_checkpoints(path);
  return own.empty() ? find_checkpoints(path / "checkpoints") : own;
}

// The configuration that the checkpoint was written with.
Config config_of(const Found& found) {
  try {
    return parse_config(read_attachment(found.path, "config.yaml"), (found.path / "config.yaml").string()).config;
  } catch (const UserError& e) {
    throw DataError(concat(e.what(),
                           "\nA newer program wrote this checkpoint, or its config.yaml was edited. Resume with ",
                           "the program that wrote it, or name another checkpoint with --resume"));
  }
}

}  // namespace

Found named_checkpoint(Communicator& world, const std::string& option, const std::filesystem::path& path) {
  agree(world, [&] {
    std::error_code error;
    if (!std::filesystem::exists(path, error))
      throw DataError(concat(option, " ", path.string(), ": ", error ? error.message() : "no such checkpoint",
                             "; expected the folder of a checkpoint, such as RUN/checkpoints/step-00000008"));
    const auto checkpoints = checkpoints_below(path);
    BK_CHECK(checkpoints.empty(), option, " ", path.string(),
             " holds checkpoints, expected one of them; name it, such as ", checkpoints.rbegin()->second.string());
  });
  return require_valid(world, path);
}

std::optional<Found> find_checkpoint(const Session& session) {
  const std::string& resume = session.config().checkpoint.resume;
  if (resume == "none") return std::nullopt;
  if (resume != "auto") return named_checkpoint(session.world(), "checkpoint.resume (--resume):", resume);
  return find_newest_valid(session.world(), session.checkpoints());
}

Progress resume_from(Session& session, const Found& found) {
  for (const std::string& why : found.passed_over) session.log("passed over: " + why);
  agree(session.world(), [&] {
    if (!found.manifest.files.contains("config.yaml")) {
      throw DataError(concat(found.path.string(),
                             ": its manifest lists no config.yaml, without which no run can go on ",
                             "from it; name another checkpoint with --resume"));
    }
    const std::string changes = check_resume(config_of(found), session.config());
    if (!changes.empty()) session.log(changes);
  });
  Progress progress;
  // load_checkpoint() refuses a checkpoint that lacks a name the state visits, so the state must not visit this one
  // unless it is there.
  progress.loads_recent_skips = found.manifest.texts.contains("run.recent_skips");
  const Loaded loaded = load_checkpoint(session.world(), found.path, found.manifest, device_of(session.config()),
                                        [&](StateVisitor& v) { session.state(v, progress); });
  progress.loads_recent_skips = false;
  agree(session.world(), [&] {
    if (session.steps_done() != found.manifest.step) {
      throw DataError(concat(found.path.string(), ": its manifest is of step ", found.manifest.step,
                             ", but its trainer.steps is ", session.steps_done(),
                             "; name another checkpoint with --resume"));
    }
    progress.check(session.steps_done());
  });
  progress.began_finite = loaded.nonfinite.empty();
  if (!progress.began_finite) {
    session.log(
        concat("warning: ", found.path.string(), " holds a state that is not finite: ", loaded.nonfinite,
               ". No state that follows from it will be saved, and its losses may mean nothing; go on from an older ",
               "checkpoint"));
  }
  if (loaded.rounded > 0) {
    session.log(concat(loaded.rounded, " tensors of the checkpoint are f64, which run.device ",
                       name_of(session.config().run.device), " holds in fewer bits: they were rounded"));
  }
  // Packed and rounded copies of the weights that were made before the load are stale.
  session.model().parameters->values_changed();
  session.log(concat("resumed from ", found.path.string(), ", step ", found.manifest.step));
  return progress;
}

bool is_of_this_run(const Session& session, const Found& found) {
  int32_t ours = 0;
  agree(session.world(), [&] {
    const auto kept = find_checkpoints(session.checkpoints());
    const auto same = kept.find(found.manifest.step);
    std::error_code different;
    // Compares the folders, not the paths: the user may have named it through a link or with a trailing slash.
    ours = same != kept.end() && std::filesystem::equivalent(found.path, same->second, different);
  });
  return broadcast_on_host(session.world(), ours, 0) != 0;
}

}  // namespace birkhoff
