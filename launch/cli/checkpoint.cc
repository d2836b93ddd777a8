#include <iostream>
#include <sstream>

#include "kernels/core/printable.h"
#include "launch/cli/commands.h"
#include "trainer/checkpoint/commands.h"

namespace birkhoff {

void add_checkpoint(Cli& cli) {
  struct Paths {
    std::string a, b;
  };
  Command checkpoint = cli.command("checkpoint", "Look into checkpoints, verify and compare them");
  auto paths = std::make_shared<Paths>();
  checkpoint.subcommand("inspect", "Step, files, bytes by class, tensors and values")
      .positional("checkpoint", paths->a, "a checkpoint's folder")
      .run([paths] {
        std::ostringstream out;
        inspect_checkpoint(paths->a, out);
        std::cout << printable(out.str());
        return ExitCode::done;
      });
  checkpoint.subcommand("verify", "Read every byte and compare the checksums")
      .positional("path", paths->a, "a checkpoint's folder, or the directory of a run's checkpoints")
      .run([paths] {
        verify_checkpoints(paths->a, std::cout);
        return ExitCode::done;
      });
  checkpoint.subcommand("diff", "Tensors, values and lines of the configuration that differ")
      .positional("a", paths->a, "a checkpoint's folder")
      .positional("b", paths->b, "another one")
      .run([paths] {
        std::ostringstream out;
        const Difference difference = diff_checkpoints(paths->a, paths->b, out);
        std::cout << (difference == Difference::none ? "no difference\n" : printable(out.str()));
        return ExitCode::done;
      });
}

}  // namespace birkhoff
