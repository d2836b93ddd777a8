#include "launch/cli/cli.h"

#include <algorithm>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "kernels/core/error.h"
#include "trainer/config/suggest.h"

namespace birkhoff {
namespace {

Action print(std::string text) {
  return [text = std::move(text)] {
    std::fputs(text.c_str(), stdout);
    return ExitCode::done;
  };
}

// An empty word comes from a variable of the shell that is not set, and must not be taken for an option left out.
std::string refuse_empty(const std::string& value) {
  return value.empty() ? "the value is empty; give one, or leave the option out" : "";
}

// The innermost subcommand that the arguments named.
CLI::App* selected(CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::string path_of(const CLI::App* app) {
  return app->get_parent() ? path_of(app->get_parent()) + " " + app->get_name() : app->get_name();
}

// The word that stands where a subcommand of `app` is expected, and is none.
std::string unknown_command(const CLI::App* app, const std::vector<std::string>& arguments) {
  const auto at =
      app->get_parent() ? std::find(arguments.begin(), arguments.end(), app->get_name()) + 1 : arguments.begin();
  std::vector<std::string> names;
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  if (names.empty() || at >= arguments.end() || at->starts_with('-')) return "";
  const std::string name = nearest(*at, {names.begin(), names.end()});
  return concat("'", *at, "' is not a command", name.empty() ? "" : concat("; did you mean ", name, "?"));
}

}  // namespace

Command& Command::positional(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->required()->check(refuse_empty);
  return *this;
}
Command& Command::positional(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  app_->add_option(name, values, help)->required()->check(refuse_empty);
  return *this;
}
Command& Command::option(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str()->check(refuse_empty);
  return *this;
}
Command& Command::option(const std::string& name, int64_t& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str();
  return *this;
}
Command& Command::option(const std::string& name, double& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str();
  return *this;
}
Command& Command::option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  app_->add_option(name, values, help)->allow_extra_args(false)->take_all();
  return *this;
}
Command& Command::choice(const std::string& name, std::string& value, const std::vector<std::string>& words,
                         const std::string& help) {
  app_->add_option(name, value, help)->check(CLI::IsMember(words))->capture_default_str();
  return *this;
}
Command& Command::flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
  return *this;
}
Command& Command::required() {
  app_->get_options().back()->required();
  return *this;
}
Command Command::subcommand(const std::string& name, const std::string& help) {
  app_->require_subcommand(1);
  return {app_->add_subcommand(name, help), actions_};
}
void Command::run(Action action) { actions_->emplace_back(app_, std::move(action)); }
void Command::run_parallel(std::function<ExitCode(Communicator& world)> action, BeforeMpi before, Prints prints) {
  actions_->emplace_back(app_, ParallelAction{std::move(action), std::move(before), prints});
}

Cli::Cli(const std::string& version)
    : app_(std::make_unique<CLI::App>("Birkhoff trains large language models across many processes.", "birkhoff")) {
  app_->require_subcommand(1);
  app_->set_version_flag("--version", "birkhoff " + version);
}
Cli::~Cli() = default;

Command Cli::command(const std::string& name, const std::string& help) {
  return {app_->add_subcommand(name, help), &actions_};
}

AnyAction Cli::parse(std::vector<std::string> arguments) {
  const std::vector<std::string> given = arguments;
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app_->parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return print(selected(app_.get())->help());
  } catch (const CLI::CallForVersion& e) {
    return print(concat(e.what(), "\n"));
  } catch (const CLI::ParseError& e) {
    const CLI::App* at = selected(app_.get());
    const std::string unknown = unknown_command(at, given);
    throw UserError(concat(unknown.empty() ? e.what() : unknown, "\nSee ", path_of(at), " --help."));
  }
  for (const auto& [app, action] : actions_) {
    if (app == selected(app_.get())) return action;
  }
  throw BugError("no action for " + path_of(selected(app_.get())));
}

}  // namespace birkhoff
