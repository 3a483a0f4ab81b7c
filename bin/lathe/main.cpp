#include "commands.h"

int main(int argc, char** argv) {
  using namespace lathe;
  CLI::App app("Looks into, measures, converts and runs small networks.", "lathe");
  app.require_subcommand(1);
  commands::Run run;
  commands::add_info(app, run);
  commands::add_eval(app, run);
  commands::add_bench(app, run);
  commands::add_convert(app, run);
  commands::add_data(app, run);
  commands::add_predict(app, run);
  commands::add_report(app, run);
  return experiments::run_program(app, argc, argv, [&] { return run(); });
}
