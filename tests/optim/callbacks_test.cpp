#include <lathe/base/io.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/callbacks.h>
#include <support/errors.h>
#include <support/temporary_folder.h>

#include "tiny.h"

#include <pty.h>
#include <unistd.h>
#include <cmath>
#include <cstdlib>
#include <thread>

using namespace lathe;
using namespace lathe::optim;

namespace {

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> lines_of(const std::string& text, char separator = '\n') {
  std::vector<std::string> lines(1);
  for (char c : text) {
    if (c == separator)
      lines.emplace_back();
    else
      lines.back() += c;
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

/// A state for calling callbacks by hand.
struct Scene {
  std::unique_ptr<layers::Sequential> model = tiny_model();
  Sgd optimizer{model->parameters(), {.learning_rate = 1}};
  TrainState state{.model = *model, .optimizer = optimizer};

  Scene() { state.has_validation = true; }

  /// An epoch that ended with this validation loss and accuracy.
  void epoch(Callback& callback, double loss, double accuracy = 0) {
    state.validation = {loss, accuracy, 10};
    callback.epoch_end(state);
    ++state.epoch;
    ++state.step;
  }
  void epochs(Callback& callback, std::initializer_list<double> losses) {
    for (double loss : losses) epoch(callback, loss);
  }
  /// The learning rate of a step for which the schedule says `scheduled`.
  float rate(Callback& callback, float scheduled = 1) {
    optimizer.set_learning_rate(scheduled);
    callback.step_begin(state);
    return optimizer.learning_rate();
  }
};

/// What training `epochs` x 4 steps prints to a terminal of this width.
std::string on_terminal(unsigned short width, std::int64_t epochs, const std::string& title,
                        std::atomic<bool>* interrupt = nullptr) {
  const winsize size{.ws_row = 24, .ws_col = width, .ws_xpixel = 0, .ws_ypixel = 0};
  int master = 0, slave = 0;
  REQUIRE(::openpty(&master, &slave, nullptr, nullptr, &size) == 0);
  std::string output;
  std::thread reader([&] {
    char buffer[256];
    for (ssize_t count; (count = ::read(master, buffer, sizeof buffer)) > 0;) output.append(buffer, count);
  });
  const std::string before = std::getenv("TERM") ? std::getenv("TERM") : "";
  ::setenv("TERM", "xterm", 1);
  std::FILE* stream = ::fdopen(slave, "w");
  {
    const auto model = tiny_model();
    Sgd sgd(model->parameters(), {});
    const auto train = spots(64), validation = spots(16, 2);
    Trainer trainer(*model, sgd, {.epochs = epochs, .interrupt = interrupt});
    trainer.add(std::make_unique<ProgressBar>(stream, title));
    if (interrupt) trainer.add(at_step_end([&](TrainState& state) { *interrupt = state.step == 2; }));
    trainer.fit(train, &validation);
  }
  std::fclose(stream);
  reader.join();
  ::close(master);
  ::setenv("TERM", before.c_str(), 1);
  return output;
}

/// What a terminal shows in the end: understands carriage return, line feed and "erase to the end of the
/// line" only, and fails on lines that would wrap.
std::vector<std::string> shown(std::string output, std::size_t width) {
  for (std::size_t at = 0; (at = output.find("\r\n", at)) != std::string::npos;)
    output.erase(at, 1);  // the terminal's
  std::vector<std::string> screen(1);
  std::size_t column = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    std::string& line = screen.back();
    if (output[i] == '\r') {
      column = 0;
    } else if (output[i] == '\n') {
      screen.emplace_back();
      column = 0;
    } else if (output.compare(i, 3, "\x1b[K") == 0) {
      line.resize(column);
      i += 2;
    } else {
      CHECK(static_cast<unsigned char>(output[i]) >= 0x20);
      line.resize(std::max(line.size(), column + 1));
      line[column++] = output[i];
      if (output[output.find_first_of("\r\n", i)] == '\r') CHECK(column < width);
    }
  }
  return screen;
}

}  // namespace

TEST_CASE("elsewhere than on a terminal the progress is one plain line an epoch") {
  std::FILE* file = std::tmpfile();
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  const auto train = spots(64), validation = spots(16, 2);
  Trainer trainer(*model, sgd, {.epochs = 11});
  trainer.add(std::make_unique<ProgressBar>(file, "tiny"));
  trainer.fit(train, &validation);
  std::string text(4096, '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  const auto lines = lines_of(text);
  REQUIRE(lines.size() == 11);
  CHECK(lines[0].starts_with("tiny epoch  1/11  loss 1."));
  CHECK(lines[10].starts_with("tiny epoch 11/11  loss "));
  CHECK(lines[0].find("%  validation loss ") != std::string::npos);
  CHECK(lines[0].find(" images/s  0.") != std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("on a terminal of any width a bar is redrawn in its line and replaced by the epoch's line") {
  for (const unsigned short width : {24, 60, 100, 250}) {
    INFO("width ", width);
    const std::string output = on_terminal(width, 2, "tiny");
    CHECK(output.find("validating") != std::string::npos);
    const auto screen = shown(output, width);
    REQUIRE(screen.size() == 3);
    CHECK(screen[0].starts_with("tiny epoch 1/2  loss "));
    CHECK(screen[1].starts_with("tiny epoch 2/2  loss "));
    CHECK(screen[1].ends_with(" s"));
    CHECK(screen[2].empty());
  }
}

TEST_CASE("an interrupted bar ends with a line that says where") {
  std::atomic<bool> interrupt{false};
  const auto screen = shown(on_terminal(80, 2, "", &interrupt), 80);
  REQUIRE(screen.size() == 2);
  CHECK(screen[0] == "interrupted in epoch 1/2 after step 3 of 4");
}

TEST_CASE("a bar is not drawn more than ten times a second") {
  const auto start = std::chrono::steady_clock::now();
  const std::string output = on_terminal(80, 40, "");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // Each epoch draws when it begins and when it evaluates; 160 steps share the rest.
  const auto drawn = std::ranges::count(output, '\r') - 2 * 40;
  CHECK(static_cast<double>(drawn) <= 40 + 40 + 10 * seconds + 1);
}

TEST_CASE("the history has a line an epoch") {
  const TemporaryFolder folder;
  const auto model = tiny_model();
  Adam adam(model->parameters(), {.learning_rate = 0.01f});
  const auto train = spots(64), validation = spots(16, 2);
  Trainer trainer(*model, adam, {.epochs = 2});
  trainer.add(std::make_unique<HistoryCsv>(folder / "new" / "history.csv"));
  const auto result = trainer.fit(train, &validation);
  const auto lines = lines_of(text_of(folder / "new" / "history.csv"));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] ==
        "epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,images_per_"
        "second");
  const auto cells = lines_of(lines[2], ',');
  REQUIRE(cells.size() == 8);
  CHECK(cells[0] == "2");
  CHECK(cells[1] == "8");
  CHECK(cells[2] == "0.01");
  CHECK(std::stod(cells[3]) == doctest::Approx(result.train.loss).epsilon(1e-5));
  CHECK(std::stod(cells[4]) == doctest::Approx(result.train.accuracy).epsilon(1e-5));
  CHECK(std::stod(cells[5]) == doctest::Approx(result.validation.loss).epsilon(1e-5));
  CHECK(std::stod(cells[6]) == doctest::Approx(result.validation.accuracy).epsilon(1e-5));
  CHECK(std::stod(cells[7]) > 0);
}

TEST_CASE("the history has empty cells without a validation set") {
  const TemporaryFolder folder;
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  Trainer trainer(*model, sgd, {});
  trainer.add(std::make_unique<HistoryCsv>(folder / "h.csv"));
  trainer.fit(spots(16));
  const auto cells = lines_of(lines_of(text_of(folder / "h.csv")).at(1), ',');
  REQUIRE(cells.size() == 8);
  CHECK(cells[5].empty());
  CHECK(cells[6].empty());
}

TEST_CASE("a history that cannot be written is an error with its path") {
  const TemporaryFolder folder;
  write_file(folder / "file", std::string_view("x"));
  HistoryCsv history(folder / "file" / "h.csv");
  Scene scene;
  CHECK_ERROR(scene.epoch(history, 1), "file");
}

TEST_CASE("the best weights are those with the highest accuracy, then the lowest loss") {
  const TemporaryFolder folder;
  Scene scene;
  BestCheckpoint best(folder / "best", true, "tiny");
  best.fit_begin(scene.state);
  CHECK(best.best_accuracy() == -1);
  float& weight = scene.model->parameters()[0].parameter.master().mutable_span<float>()[0];
  const auto saved = [&] {
    for (const auto& [name, tensor] : layers::load_safetensors(folder / "best").tensors)
      if (name == "conv.weight") return tensor.span<float>()[0];
    return -1.0f;
  };
  const auto epoch = [&](float value, double accuracy, double loss) {
    weight = value;
    scene.epoch(best, loss, accuracy);
  };
  epoch(1, 0.5, 2);
  CHECK(saved() == 1);
  epoch(2, 0.4, 1);
  CHECK(saved() == 1);
  epoch(3, 0.5, 2);
  CHECK(saved() == 1);
  epoch(4, 0.5, 1.5);
  CHECK(saved() == 4);
  epoch(5, 0.6, 3);
  CHECK(saved() == 5);
  epoch(6, 0.55, 0);
  CHECK(saved() == 5);
  CHECK(best.best_accuracy() == 0.6);
  CHECK(layers::load_safetensors(folder / "best").metadata.at("model") == "tiny");

  scene.state.interrupted = true;
  best.fit_end(scene.state);
  CHECK(weight == 6);
  scene.state.interrupted = false;
  best.fit_end(scene.state);
  CHECK(weight == 5);

  BestCheckpoint keep(folder / "best", false);
  keep.restore(best.state());
  weight = 7;
  keep.fit_end(scene.state);
  CHECK(weight == 7);
  CHECK(keep.best_accuracy() == 0.6);
}

TEST_CASE("the best weights need a validation set, and their file at the end") {
  const TemporaryFolder folder;
  Scene scene;
  BestCheckpoint best(folder / "best");
  scene.epoch(best, 1, 0.5);
  std::filesystem::remove(folder / "best");
  CHECK_ERROR(best.fit_end(scene.state), "best");
  scene.state.has_validation = false;
  CHECK_ERROR(best.fit_begin(scene.state), "best checkpoint: there is no validation set to choose");
}

TEST_CASE("early stopping waits for its patience") {
  Scene scene;
  EarlyStopping stopping(2, 0.1);
  stopping.fit_begin(scene.state);
  scene.epochs(stopping, {5, 4, 3.95, 3.8, 3.75});
  CHECK(!scene.state.stop);
  scene.epochs(stopping, {3.71});
  CHECK(scene.state.stop);
  CHECK(scene.state.stop_reason == "the validation loss has not fallen below 3.8 for 2 epochs");
}

TEST_CASE("early stopping takes the training loss without a validation set, and nan for no progress") {
  Scene scene;
  scene.state.has_validation = false;
  EarlyStopping stopping(2);
  for (double loss : {3.0, 2.0, std::nan(""), 2.5}) {
    scene.state.train.loss = loss;
    CHECK(!scene.state.stop);
    scene.epoch(stopping, 0);
  }
  CHECK(scene.state.stop);
  CHECK(scene.state.stop_reason == "the training loss has not fallen below 2 for 2 epochs");
}

TEST_CASE("the learning rate falls on each plateau, down to the floor") {
  Scene scene;
  ReduceOnPlateau reduce({.factor = 0.5f, .patience = 2, .min_delta = 0, .floor = 0.3f});
  reduce.fit_begin(scene.state);
  CHECK(scene.rate(reduce) == 1);
  scene.epochs(reduce, {5, 5});
  CHECK(scene.rate(reduce) == 1);
  scene.epochs(reduce, {5});
  CHECK(scene.rate(reduce) == 0.5f);
  CHECK(scene.rate(reduce, 0.8f) == 0.4f);
  scene.epochs(reduce, {4, 4});
  CHECK(scene.rate(reduce) == 0.5f);
  scene.epochs(reduce, {4});
  CHECK(scene.rate(reduce) == 0.3f);
  CHECK(scene.rate(reduce, 0.2f) == 0.2f);
}

TEST_CASE("callbacks go on from their state exactly") {
  Scene scene;
  EarlyStopping stopping(3), stopping_again(3);
  ReduceOnPlateau reduce({.factor = 0.3f, .patience = 1}), reduce_again({.factor = 0.3f, .patience = 1});
  CHECK(stopping.state() == "inf 0");
  stopping_again.restore(stopping.state());
  scene.epochs(stopping, {1.0 / 3, 0.4});
  stopping_again.restore(stopping.state());
  scene.epochs(stopping_again, {1.0 / 3});
  CHECK(!scene.state.stop);
  scene.epochs(stopping_again, {1.0 / 3});
  CHECK(scene.state.stop);

  scene.epochs(reduce, {1, 1, 1});
  reduce_again.restore(reduce.state());
  CHECK(scene.rate(reduce_again) == scene.rate(reduce));
  CHECK(scene.rate(reduce_again) < 0.1f);
  CHECK(reduce_again.state() == reduce.state());
}

TEST_CASE("a callback's state that is not its own is refused") {
  EarlyStopping stopping(3);
  CHECK_ERROR(stopping.restore(""), "'' is not 2 numbers");
  CHECK_ERROR(stopping.restore("1"), "'1' is not 2 numbers");
  CHECK_ERROR(stopping.restore("1 2 3"), "'1 2 3' is not 2 numbers");
  CHECK_ERROR(stopping.restore("1 two"), "'two' is not a number");
  CHECK_ERROR(stopping.restore("1 1e30"), "not a number of epochs");
  CHECK_ERROR(stopping.restore("1 -1"), "not a number of epochs");
  CHECK_ERROR(ReduceOnPlateau({}).restore("1 1 nan"), "reduce on plateau");
  CHECK_ERROR(BestCheckpoint("x").restore("1"), "'1' is not 2 numbers");
}

TEST_CASE("options of callbacks out of range are named") {
  CHECK_ERROR(EarlyStopping(0), "early stopping: patience is 0, expected at least 1 epoch");
  CHECK_ERROR(EarlyStopping(1, -1), "early stopping: min_delta is -1");
  CHECK_ERROR(EarlyStopping(1, NAN), "min_delta is nan");
  CHECK_ERROR(ReduceOnPlateau({.factor = 1}), "reduce on plateau: factor is 1, expected 0 < factor < 1");
  CHECK_ERROR(ReduceOnPlateau({.patience = -2}), "reduce on plateau: patience is -2");
  CHECK_ERROR(ReduceOnPlateau({.min_delta = INFINITY}), "min_delta is inf");
  CHECK_ERROR(ReduceOnPlateau({.floor = -1}), "floor is -1");
}

TEST_CASE("two callbacks cannot keep their state under one name") {
  Scene scene;
  Trainer trainer(*scene.model, scene.optimizer, {});
  trainer.add(std::make_unique<EarlyStopping>(1));
  CHECK_ERROR(trainer.add(std::make_unique<EarlyStopping>(2)),
              "two callbacks keep their state as 'early_stopping'");
}
