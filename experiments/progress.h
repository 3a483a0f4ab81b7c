#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace lathe::experiments {

/// "title  [=====>    ]  45 %  ETA 3 s" on a terminal, redrawn at most ten times a second and wiped at the
/// end; nothing elsewhere.
class ProgressLine {
 public:
  /// A null stream shows nothing. The stream must outlive the line.
  ProgressLine(std::FILE* stream, std::string title);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(std::int64_t done, std::int64_t total);

 private:
  std::FILE* stream_;
  std::string title_;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace lathe::experiments
