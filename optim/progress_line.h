#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::optim {

/// What a progress bar shows of a running epoch.
struct ProgressLine {
  std::string_view title;  ///< UTF-8
  std::int64_t epoch = 0;  ///< from 1
  std::int64_t epochs = 0;
  double done = 0;  ///< of this epoch, 0..1
  bool validating = false;
  bool has_metrics = false;  ///< the rest is known
  double loss = 0;
  double accuracy = 0;
  double images_per_second = 0;
  double seconds_left = -1;  ///< of all epochs; negative: not known
};

/// The line in at most `width` columns: the bar takes what is left, then the least important parts go.
/// Control characters in the title are shown as '?'; each character counts as one column.
std::string to_text(const ProgressLine& line, int width);

/// "0:07", "12:34", "1:02:03"
std::string duration_text(double seconds);

}  // namespace lathe::optim
