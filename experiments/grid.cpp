#include "grid.h"

#include "grid_view.h"
#include "table.h"
#include "worker.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>

#include <fmt/format.h>

#include <poll.h>
#include <algorithm>
#include <exception>
#include <memory>

namespace lathe::experiments {
namespace {

enum class State { waiting, training, done, failed };

class Run {
 public:
  Run(const std::vector<Job>& jobs, const GridHooks& hooks, const GridOptions& options)
      : jobs_(jobs), hooks_(hooks), options_(options), states_(jobs.size()), view_(jobs, options) {
    for (std::size_t i = 0; i < jobs.size(); ++i)
      if (jobs[i].finished) states_[i] = State::done;
  }

  GridOutcome run() {
    for (;;) {
      if (interrupted()) break;
      start_workers();
      if (workers_.empty()) break;
      wait();
      std::vector<std::unique_ptr<Worker>> ended;
      for (auto& worker : workers_)
        if (!worker->read()) ended.push_back(std::move(worker));
      std::erase(workers_, nullptr);
      view_.show(workers_);
      if (interrupted()) break;  // what has ended is taken up by the next run
      for (const auto& worker : ended) finish(*worker);
    }
    if (interrupted()) stop_workers();
    return std::move(outcome_);
  }

 private:
  bool interrupted() const { return options_.interrupt != nullptr && *options_.interrupt; }

  std::size_t index_of(const std::string& id) const {
    const auto found = std::ranges::find(jobs_, id, &Job::id);
    return static_cast<std::size_t>(found - jobs_.begin());
  }

  State state_of_needs(const Job& job) const {
    for (const std::string& id : job.needs) {
      const State state = states_[index_of(id)];
      if (state != State::done) return state;
    }
    return State::done;
  }

  void start_workers() {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      if (states_[i] != State::waiting) continue;
      const State needs = state_of_needs(jobs_[i]);
      if (needs == State::failed) {
        fail_job(i, "what it starts from failed");
      } else if (needs == State::done && workers_.size() < static_cast<std::size_t>(options_.at_once)) {
        try {
          workers_.push_back(std::make_unique<Worker>(jobs_[i].id, hooks_.worker(jobs_[i].id)));
          states_[i] = State::training;
        } catch (const std::exception& error) {
          fail_job(i, error.what());
        }
      }
    }
  }

  void wait() const {
    std::vector<pollfd> descriptors;
    for (const auto& worker : workers_) descriptors.push_back({worker->descriptor(), POLLIN, 0});
    ::poll(descriptors.data(), descriptors.size(), 100);
  }

  void finish(const Worker& worker) {
    const std::size_t i = index_of(worker.id());
    if (const std::string error = worker.error(); !error.empty()) return fail_job(i, error);
    std::string line;
    if (jobs_[i].measured) {
      for (const auto& other : workers_) other->pause();
      try {
        view_.measuring(jobs_[i].id);
        line = hooks_.measure(jobs_[i].id);
      } catch (const std::exception& error) {  // of files and memory too: the other trainings go on
        fail_job(i, error.what());
      }
      for (const auto& other : workers_) other->resume();
      if (states_[i] == State::failed) return;
    }
    states_[i] = State::done;
    view_.finished(i, line);
  }

  void fail_job(std::size_t i, const std::string& reason) {
    states_[i] = State::failed;
    outcome_.failed.push_back({jobs_[i].id, reason});
    view_.failed(i, reason);
  }

  /// Each writes its checkpoint.
  void stop_workers() {
    outcome_.interrupted = true;
    for (const auto& worker : workers_) worker->interrupt();
    while (!workers_.empty()) {
      wait();
      std::erase_if(workers_, [](const auto& worker) { return !worker->read(); });
    }
  }

  const std::vector<Job>& jobs_;
  const GridHooks& hooks_;
  const GridOptions& options_;
  std::vector<State> states_;
  std::vector<std::unique_ptr<Worker>> workers_;
  GridView view_;
  GridOutcome outcome_;
};

}  // namespace

GridOutcome run_grid(const std::vector<Job>& jobs, const GridHooks& hooks, const GridOptions& options) {
  return Run(jobs, hooks, options).run();
}

Threads share_threads(int wanted, std::size_t trainings) {
  const int all = wanted > 0 ? wanted : num_threads();
  const auto at_once = static_cast<int>(std::clamp<std::size_t>(trainings, 1, static_cast<std::size_t>(all)));
  return {at_once, all / at_once};
}

std::string plan_text(const std::vector<Job>& jobs, const Threads& threads) {
  Table table{{"experiment", "training takes about"}, {}};
  for (const Job& job : jobs)
    table.rows.push_back({job.id, job.finished ? "is there already" : clock_text(job.seconds)});
  return fmt::format("{}\n{} at a time, each on {} thread{}: about {} in all, without measuring\n",
                     to_text(table), threads.at_once, threads.each, threads.each == 1 ? "" : "s",
                     clock_text(estimated_seconds(jobs, threads.at_once)));
}

double estimated_seconds(const std::vector<Job>& jobs, int at_once) {
  double sum = 0;
  std::vector<double> until(jobs.size(), 0);  // the longest chain that ends with the job
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].finished) continue;
    for (const std::string& id : jobs[i].needs)
      for (std::size_t j = 0; j < jobs.size(); ++j)
        if (jobs[j].id == id) until[i] = std::max(until[i], until[j]);
    until[i] += jobs[i].seconds;
    sum += jobs[i].seconds;
  }
  return std::max(sum / at_once, jobs.empty() ? 0. : *std::ranges::max_element(until));
}

}  // namespace lathe::experiments
