#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/core/precision.h>

#include <CLI/CLI.hpp>

#include <string>

namespace lathe::experiments {

/// What every program takes.
struct CommonOptions {
  int threads = 0;  ///< 0: the program's default
  bool quiet = false;
};

/// Adds --threads and --quiet to a command.
void add_common_options(CLI::App& command, CommonOptions& options);

/// Adds --data.
void add_data_option(CLI::App& command, std::string& directory);

/// Adds --precision, of training.
void add_precision_option(CLI::App& command, Precision& precision);

/// Parses the command line, then runs `body`. Returns the exit code: body's; 0 after --help and --version; 2
/// with one line on stderr for wrong usage; 1 with one line for an Error.
int run_program(CLI::App& app, int argc, char** argv, FunctionRef<int()> body);

/// Wrong usage that only shows after parsing: run_program prints it and returns 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace lathe::experiments
