#include "machine.h"

#include <lathe/runtime/plan.h>
#include <lathe/version.h>

#include <fmt/chrono.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace lathe::experiments {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace

nlohmann::ordered_json describe_machine(int training_threads) {
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return {{"processor", processor_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"training_threads", training_threads},
          {"latency_threads", 1},
          {"kernel_level", std::string(runtime::to_string(runtime::best_level()))},
          {"compiler", __VERSION__},
          {"lathe", kVersion},
          {"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now))}};
}

}  // namespace lathe::experiments
