#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace birkhoff {

// Memory of this host, in bytes, that can still be used without swapping: the kernel's estimate (MemAvailable), or
// nullopt if it gives none.
std::optional<int64_t> available_host_memory();

// Memory that the control groups of this process leave to it, or nullopt if none of them has a limit.
std::optional<int64_t> available_group_memory();

// The same for the control group `group` ("/slurm/job_7/step_0") of the hierarchy mounted at `root` (version 2): the
// least of what it and each group around it leave, because a scheduler may limit any of them.
std::optional<int64_t> available_group_memory(const std::filesystem::path& root, const std::string& group);

}  // namespace birkhoff
