#include "grid_view.h"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lathe::experiments {
namespace {

std::size_t columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 79;
  return static_cast<std::size_t>(size.ws_col - 1);
}

std::string text_of(const Worker& worker) {
  const TrainingStatus& now = worker.status();
  if (now.steps == 0) return worker.id();
  std::string text = fmt::format("{} {}%", worker.id(), 100 * now.step / now.steps);
  if (now.accuracy >= 0) text += fmt::format(" ({:.2f}%)", 100 * now.accuracy);
  return text;
}

}  // namespace

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(seconds, 0.)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

GridView::GridView(const std::vector<Job>& jobs, const GridOptions& options)
    : jobs_(jobs),
      options_(options),
      terminal_(::isatty(STDERR_FILENO) == 1),
      begin_(std::chrono::steady_clock::now()),
      estimated_(estimated_seconds(jobs, options.at_once)) {
  for (const Job& job : jobs) {
    open_.push_back(!job.finished);
    if (!job.finished) continue;
    ++ended_;
    if (!options_.quiet) fmt::print(stderr, "[{}/{}] {} is there already\n", ended_, jobs.size(), job.id);
  }
}

GridView::~GridView() { draw(""); }

void GridView::draw(const std::string& line) {
  if (options_.quiet || !terminal_ || (line.empty() && !drawn_)) return;
  fmt::print(stderr, "\r\x1b[K{}", line.substr(0, columns()));
  std::fflush(stderr);
  drawn_ = !line.empty();
}

void GridView::print(std::size_t job, const std::string& line) {
  draw("");
  open_[job] = false;
  ++ended_;
  if (!options_.quiet) fmt::print(stderr, "[{}/{}] {}: {}\n", ended_, jobs_.size(), jobs_[job].id, line);
}

void GridView::finished(std::size_t job, const std::string& line) {
  print(job, line.empty() ? "trained" : line);
}

void GridView::failed(std::size_t job, const std::string& reason) { print(job, "failed: " + reason); }

void GridView::measuring(const std::string& id) { draw("measuring " + id); }

double GridView::seconds_left(const std::vector<std::unique_ptr<Worker>>& workers) const {
  std::vector<Job> left = jobs_;
  for (std::size_t i = 0; i < left.size(); ++i) left[i].finished = !open_[i];
  for (const auto& worker : workers)
    for (Job& job : left)
      if (const TrainingStatus& now = worker->status(); job.id == worker->id() && now.steps > 0)
        job.seconds *= 1 - static_cast<double>(now.step) / static_cast<double>(now.steps);
  const double estimate = estimated_seconds(left, options_.at_once);
  // What took longer than estimated so far will go on to do so.
  const double done = estimated_ - estimate;
  const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  return done > 0.05 * estimated_ ? estimate * passed / done : estimate;
}

void GridView::show(const std::vector<std::unique_ptr<Worker>>& workers) {
  if (options_.quiet) return;
  if (!terminal_) {
    for (const auto& worker : workers) {
      const TrainingStatus& now = worker->status();
      std::int64_t& printed = epochs_[worker->id()];
      if (now.epoch > printed && now.accuracy >= 0)
        fmt::print(stderr, "{}: epoch {}/{}, validation accuracy {:.2f} %\n", worker->id(), now.epoch,
                   now.epochs, 100 * now.accuracy);
      printed = now.epoch;
    }
    return;
  }
  std::string line = fmt::format("[{}/{}]", ended_, jobs_.size());
  for (const auto& worker : workers) line += "  " + text_of(*worker);
  draw(line + "  ETA " + clock_text(seconds_left(workers)));
}

}  // namespace lathe::experiments
