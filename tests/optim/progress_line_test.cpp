// Tests internals: what the progress bar shows in terminals of every width.
#include "progress_line.h"

#include <doctest/doctest.h>

#include <string>

using namespace lathe::optim;

namespace {

const ProgressLine kLine{.title = "conv",
                         .epoch = 3,
                         .epochs = 10,
                         .done = 0.45,
                         .has_metrics = true,
                         .loss = 0.12344,
                         .accuracy = 0.9812,
                         .images_per_second = 8123.4,
                         .seconds_left = 34.2};

int columns(const std::string& text) {
  int count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

}  // namespace

TEST_CASE("a wide terminal shows everything, with a bar") {
  CHECK(to_text(kLine, 120) ==
        "conv epoch 3/10 [============>               ] 45% loss 0.1234 accuracy 98.12% 8123 images/s ETA "
        "0:34");
}

TEST_CASE("a narrower terminal shortens the bar, then drops the least important parts") {
  CHECK(to_text(kLine, 80) ==
        "conv epoch 3/10 [===>   ] 45% loss 0.1234 accuracy 98.12% 8123 images/s ETA 0:34");
  CHECK(to_text(kLine, 60) == "conv epoch 3/10 45% loss 0.1234 accuracy 98.12% ETA 0:34");
  CHECK(to_text(kLine, 30) == "epoch 3/10 45% loss 0.1234");
}

TEST_CASE("no line is wider than the terminal, whatever the width and the title") {
  for (const char* title :
       {"", "conv", "a title that is longer than most terminals are wide, in fact very much longer",
        "\xC3\xA4\xC3\xB6\xC3\xBC \xE6\xBC\xA2\xE5\xAD\x97"})
    for (const bool metrics : {false, true})
      for (int width = 0; width < 200; ++width) {
        ProgressLine line = kLine;
        line.title = title;
        line.has_metrics = metrics;
        line.images_per_second = 1e9;
        line.seconds_left = 1e7;
        CHECK(columns(to_text(line, width)) <= width);
      }
}

TEST_CASE("the bar goes from empty to full") {
  ProgressLine line{.epoch = 1, .epochs = 1};
  CHECK(to_text(line, 30) == "epoch 1/1 [>              ] 0%");
  line.done = 1;
  CHECK(to_text(line, 30) == "epoch 1/1 [=============] 100%");
  line.validating = true;
  CHECK(to_text(line, 30) == "epoch 1/1 [=======] validating");
}

TEST_CASE("control characters of a title cannot move the cursor") {
  ProgressLine line{.title = "a\n\x1b[2Jb", .epoch = 1, .epochs = 1};
  CHECK(to_text(line, 60).starts_with("a??[2Jb epoch"));
}

TEST_CASE("durations are shown as people write them") {
  CHECK(duration_text(0) == "0:00");
  CHECK(duration_text(7.4) == "0:07");
  CHECK(duration_text(59.6) == "1:00");
  CHECK(duration_text(754) == "12:34");
  CHECK(duration_text(3723) == "1:02:03");
  CHECK(duration_text(1e300) == "277777:46:40");
}
