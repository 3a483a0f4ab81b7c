#include <lathe/optim/callbacks.h>

#include "progress_line.h"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <string_view>

namespace lathe::optim {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kRedraw{100};

bool is_terminal(std::FILE* stream) {
  const char* kind = std::getenv("TERM");
  return ::isatty(::fileno(stream)) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

/// One column less than the terminal has: a full line would move the cursor to the next one.
int usable_columns(std::FILE* stream) {
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 79;
  return size.ws_col - 1;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct ProgressBar::State {
  std::FILE* stream;
  std::string title;
  bool terminal = is_terminal(stream);
  bool drawn = false;  ///< a line stands on the terminal that is not finished
  Clock::time_point fit_start{};
  Clock::time_point epoch_start{};
  Clock::time_point last_draw{};
  std::int64_t steps_before = 0;  ///< of the run, when this fit() began

  void write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
    std::fflush(stream);
  }

  /// A line that stays, in place of the bar.
  void print(const std::string& line) {
    write((drawn ? "\r\x1b[K" : "") + (title.empty() ? "" : title + " ") + line + "\n");
    drawn = false;
  }

  void draw(const TrainState& now, std::int64_t done_in_epoch, bool validating) {
    if (!terminal) return;
    const std::int64_t done = now.epoch * now.steps_per_epoch + done_in_epoch;
    const std::int64_t done_here = done - steps_before;
    const auto left = static_cast<double>(now.epochs * now.steps_per_epoch - done);
    const ProgressLine line{
        .title = title,
        .epoch = now.epoch + 1,
        .epochs = now.epochs,
        .done = static_cast<double>(done_in_epoch) / static_cast<double>(now.steps_per_epoch),
        .validating = validating,
        .has_metrics = now.train.samples > 0 && done_in_epoch > 0,
        .loss = now.train.loss,
        .accuracy = now.train.accuracy,
        .images_per_second = now.images_per_second,
        .seconds_left = done_here > 0 ? seconds_since(fit_start) / static_cast<double>(done_here) * left : -1,
    };
    write("\r" + to_text(line, usable_columns(stream)) + "\x1b[K");
    drawn = true;
    last_draw = Clock::now();
  }
};

ProgressBar::ProgressBar(std::FILE* stream, std::string title)
    : state_(std::make_unique<State>(State{.stream = stream, .title = std::move(title)})) {}

ProgressBar::~ProgressBar() {
  if (state_->drawn)
    state_->write("\n");  // training ended by an error: what is printed next gets its own line
}

void ProgressBar::fit_begin(TrainState& now) {
  state_->fit_start = Clock::now();
  state_->steps_before = now.step;
}

void ProgressBar::epoch_begin(TrainState& now) {
  state_->epoch_start = Clock::now();
  state_->draw(now, now.step_in_epoch, false);
}

void ProgressBar::step_end(TrainState& now) {
  if (state_->terminal && Clock::now() - state_->last_draw >= kRedraw)
    state_->draw(now, now.step_in_epoch + 1, false);
}

void ProgressBar::eval_begin(TrainState& now) { state_->draw(now, now.step_in_epoch, true); }

void ProgressBar::epoch_end(TrainState& now) {
  std::string line = fmt::format("epoch {:>{}}/{}  loss {:.4f}  accuracy {:.2f}%", now.epoch + 1,
                                 fmt::formatted_size("{}", now.epochs), now.epochs, now.train.loss,
                                 now.train.accuracy * 100);
  if (now.has_validation)
    line += fmt::format("  validation loss {:.4f}  accuracy {:.2f}%", now.validation.loss,
                        now.validation.accuracy * 100);
  state_->print(line + fmt::format("  {:.0f} images/s  {:.1f} s", now.images_per_second,
                                   seconds_since(state_->epoch_start)));
}

void ProgressBar::fit_end(TrainState& now) {
  if (now.interrupted && now.epoch == now.epochs)
    state_->print("interrupted after the last epoch");
  else if (now.interrupted)
    state_->print(fmt::format("interrupted in epoch {}/{} after step {} of {}", now.epoch + 1, now.epochs,
                              now.step_in_epoch, now.steps_per_epoch));
  else if (!now.stop_reason.empty())
    state_->print("stopped: " + now.stop_reason);
}

}  // namespace lathe::optim
