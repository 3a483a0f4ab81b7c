#pragma once

#include "grid.h"
#include "worker.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lathe::experiments {

/// What a person sees of a running grid, on stderr: a line for each job that ends and, on a terminal, a
/// last one with the trainings that run, redrawn; elsewhere a line for each epoch.
class GridView {
 public:
  GridView(const std::vector<Job>& jobs, const GridOptions& options);
  ~GridView();
  GridView(const GridView&) = delete;
  GridView& operator=(const GridView&) = delete;

  void show(const std::vector<std::unique_ptr<Worker>>& workers);
  void measuring(const std::string& id);
  void finished(std::size_t job, const std::string& line);
  void failed(std::size_t job, const std::string& reason);

 private:
  void print(std::size_t job, const std::string& line);
  void draw(const std::string& line);
  double seconds_left(const std::vector<std::unique_ptr<Worker>>& workers) const;

  const std::vector<Job>& jobs_;
  const GridOptions& options_;
  bool terminal_;
  bool drawn_ = false;
  std::size_t ended_ = 0;
  std::vector<bool> open_;                      ///< by job: not ended
  std::map<std::string, std::int64_t> epochs_;  ///< printed so far, by job
  std::chrono::steady_clock::time_point begin_;
  double estimated_ = 0;  ///< seconds of all that was open at the begin
};

/// "0:07", "12:34", "1:02:03"
std::string clock_text(double seconds);

}  // namespace lathe::experiments
