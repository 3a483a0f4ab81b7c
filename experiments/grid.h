#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lathe::experiments {

/// A training among others.
struct Job {
  std::string id;
  std::vector<std::string> needs;  ///< jobs whose trained models it takes
  double seconds = 0;              ///< estimated, on one thread
  bool finished = false;           ///< trained and measured by an earlier run
  bool measured = true;            ///< false: trained for others only
};

struct GridHooks {
  /// The arguments with which this program trains a job, in a process of its own (worker.h).
  std::function<std::vector<std::string>(const std::string& id)> worker;
  /// Deploys, measures and records a trained job, with everything else standing still; returns a line on it.
  std::function<std::string(const std::string& id)> measure;
};

struct GridOptions {
  int at_once = 1;  ///< trainings at the same time
  bool quiet = false;
  const std::atomic<bool>* interrupt = nullptr;
};

/// Several trainings at a time, each on its share of the threads: small networks gain less from a second
/// thread than from a training beside them. The share depends on the grid alone, and so do the results.
struct Threads {
  int at_once = 1;
  int each = 1;
};
/// `wanted`: threads in all; 0: num_threads().
Threads share_threads(int wanted, std::size_t trainings);

struct FailedJob {
  std::string id;
  std::string reason;
};

struct GridOutcome {
  std::vector<FailedJob> failed;
  bool interrupted = false;
};

/// Trains all jobs, each as soon as what it needs is trained, in their order, several at a time, and measures
/// each as soon as it is trained; the trainings are stopped meanwhile. A job that fails takes those with it
/// that need it; the others go on. Shows on stderr what runs.
GridOutcome run_grid(const std::vector<Job>& jobs, const GridHooks& hooks, const GridOptions& options);

/// What would be done and how long it would take, for --dry-run.
std::string plan_text(const std::vector<Job>& jobs, const Threads& threads);

/// Estimated seconds of what is left when `at_once` trainings run at a time.
double estimated_seconds(const std::vector<Job>& jobs, int at_once);

}  // namespace lathe::experiments
