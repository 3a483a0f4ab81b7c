#include "progress.h"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>

namespace lathe::experiments {

ProgressLine::ProgressLine(std::FILE* stream, std::string title)
    : stream_(stream && isatty(fileno(stream)) ? stream : nullptr),
      title_(std::move(title)),
      begin_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (!stream_) return;
  std::fputs("\r\x1b[K", stream_);
  std::fflush(stream_);
}

void ProgressLine::update(std::int64_t done, std::int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!stream_ || total <= 0 || (now - drawn_ < std::chrono::milliseconds(100) && done < total)) return;
  drawn_ = now;
  constexpr std::int64_t kWidth = 24;
  const std::int64_t filled = std::clamp<std::int64_t>(done * kWidth / total, 0, kWidth);
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  const double left = done > 0 ? seconds / static_cast<double>(done) * static_cast<double>(total - done) : 0;
  fmt::print(stream_, "\r\x1b[K{}  [{}{}] {:3d} %  ETA {:.0f} s", title_,
             std::string(static_cast<std::size_t>(filled), '='),
             std::string(static_cast<std::size_t>(kWidth - filled), ' '), done * 100 / total, left);
  std::fflush(stream_);
}

}  // namespace lathe::experiments
