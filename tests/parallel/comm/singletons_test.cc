#include "parallel/comm/mpi/singletons.h"

#include <map>

#include <gmock/gmock.h>

namespace birkhoff {
namespace {

std::optional<std::string> error_in(const std::map<std::string, std::string>& environment, int mpi_size = 1) {
  return singleton_error(mpi_size, [&](const char* name) {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

TEST(Singletons, AreRefusedWhereALauncherAnnouncedMore) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const auto error = error_in({{name, "4"}});
    ASSERT_TRUE(error) << name;
    EXPECT_THAT(*error, ::testing::StartsWith(std::string("the launcher started 4 processes (") + name));
  }
}

TEST(Singletons, AWorldOfSeveralOrAPlainStartIsFine) {
  EXPECT_FALSE(error_in({}));
  EXPECT_FALSE(error_in({{"OMPI_COMM_WORLD_SIZE", "4"}}, 4));
  EXPECT_FALSE(error_in({{"OMPI_COMM_WORLD_SIZE", "1"}}));
}

TEST(Singletons, ABatchScriptOfSlurmMayRunOneProcess) {
  EXPECT_FALSE(error_in({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}));
  // mpirun -n 1 in an allocation of two nodes: mpirun's daemons are tasks of srun.
  EXPECT_FALSE(error_in({{"OMPI_COMM_WORLD_SIZE", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}}));
}

}  // namespace
}  // namespace birkhoff
