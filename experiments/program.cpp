#include "program.h"

#include <lathe/base/error.h>
#include <lathe/version.h>

#include <cstdio>
#include <new>

namespace lathe::experiments {
namespace {

/// "--data, --json, ..." of the command that was meant.
std::string option_names(const CLI::App& command) {
  std::string names;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_lnames().empty()) continue;
    names += (names.empty() ? "--" : ", --") + option->get_lnames().front();
  }
  return names;
}

std::string subcommand_names(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names += (names.empty() ? "" : ", ") + command->get_name();
  return names;
}

const CLI::App& chosen(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : chosen(*commands.front());
}

/// One line out of CLI11's messages, with what would have been right.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = chosen(app);
  std::string message = error.what();
  if (const auto end = message.find('\n'); end != std::string::npos) message.resize(end);
  const std::string commands = subcommand_names(command);
  const auto unknown = command.remaining();
  if (!commands.empty() && !unknown.empty())
    message = fmt::format("there is no {} '{}'", unknown.front().starts_with("-") ? "option" : "command",
                          unknown.front());
  else if (dynamic_cast<const CLI::ExtrasError*>(&error))
    message += "; options: " + option_names(command);
  if (!commands.empty()) message += "; commands: " + commands;
  return message;
}

void complain(const CLI::App& app, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), message.c_str());
}

}  // namespace

void add_common_options(CLI::App& command, CommonOptions& options) {
  command
      .add_option("--threads", options.threads,
                  "Threads to use (default: all cores for training and evaluation, 1 for latency)")
      ->check(CLI::Range(1, 256));
  command.add_flag("--quiet", options.quiet, "Print results and errors only");
}

void add_data_option(CLI::App& command, std::string& directory) {
  command.add_option("--data", directory, "Folder with the data sets (default: $LATHE_DATA, else ./data)");
}

void add_precision_option(CLI::App& command, Precision& precision) {
  command
      .add_option_function<std::string>(
          "--precision", [&](const std::string& text) { precision = parse_precision(text); },
          "What convolutions and linear layers multiply in while training: f32, or bf16 with sums and "
          "weights in "
          "f32, which needs AVX-512 and is fast on processors with AMX or AVX512-BF16 only")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->default_str(std::string(to_string(precision)));
}

int run_program(CLI::App& app, int argc, char** argv, FunctionRef<int()> body) {
  app.set_version_flag("--version", std::string("lathe ") + kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    complain(app, usage_message(app, error));
    return 2;
  }
  try {
    const int code = body();
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
      complain(app, "cannot write to standard output");
      return 1;
    }
    return code;
  } catch (const UsageError& error) {
    complain(app, error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    complain(app, "out of memory");
  } catch (const std::exception& error) {
    complain(app, error.what());
  }
  return 1;
}

}  // namespace lathe::experiments
