// A run that was stopped anywhere and gone on with ends in the same bytes as one that was not.
#include <lathe/base/io.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/callbacks.h>
#include <lathe/optim/interrupt.h>
#include <support/errors.h>
#include <support/temporary_folder.h>

#include "tiny.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <set>

using namespace lathe;
using namespace lathe::optim;

namespace {

constexpr std::int64_t kEpochs = 4, kStepsPerEpoch = 5;

/// What a process that trains has, built from nothing each time.
struct Program {
  std::filesystem::path folder;
  std::atomic<bool> interrupt{false};
  std::unique_ptr<layers::Sequential> model = tiny_model();
  std::unique_ptr<Optimizer> optimizer =
      std::make_unique<AdamW>(model->parameters(), Adam::Options{.weight_decay = 0.01f});
  datasets::DataLoader train = spots(75);  // the last batch is short
  datasets::DataLoader validation = spots(40, 2);
  Trainer::Options options{
      .epochs = kEpochs,
      .schedule = OneCycleSchedule{.peak = 0.02f, .steps = kEpochs * kStepsPerEpoch},
      .max_grad_norm = 1,
      .label_smoothing = 0.1f,
      .checkpoint = folder / "run.safetensors",
      .interrupt = &interrupt,
  };
  std::FILE* sink = std::tmpfile();

  explicit Program(std::filesystem::path where) : folder(std::move(where)) {}
  ~Program() { std::fclose(sink); }

  /// `stop_after`: the number of steps after which Ctrl-C comes; negative: never.
  Trainer::Result run(std::int64_t stop_after = -1, std::function<void(Trainer&)> more = {}) {
    Trainer trainer(*model, *optimizer, options);
    trainer.add(std::make_unique<ProgressBar>(sink));
    trainer.add(std::make_unique<HistoryCsv>(folder / "history.csv"));
    trainer.add(std::make_unique<BestCheckpoint>(folder / "best.safetensors", true, "tiny"));
    trainer.add(std::make_unique<EarlyStopping>(100));
    trainer.add(std::make_unique<ReduceOnPlateau>(
        ReduceOnPlateau::Options{.factor = 0.5f, .patience = 1, .min_delta = 0.3}));
    trainer.add(at_step_end([&](TrainState& state) {
      if (state.step + 1 == stop_after) interrupt = true;
    }));
    if (stop_after == 0) interrupt = true;
    if (more) more(trainer);
    return trainer.fit(train, &validation);
  }
};

/// The lines of history.csv without their last column, the speed.
std::string history(const std::filesystem::path& folder) {
  const auto bytes = read_file(folder / "history.csv");
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size()), result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    result += line.substr(0, line.rfind(',')) + "\n";
    begin = end + 1;
  }
  return result;
}

/// Checks that two folders hold the results of the same run.
void check_same(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto left = layers::load_safetensors(a / "run.safetensors");
  const auto right = layers::load_safetensors(b / "run.safetensors");
  CHECK(left.tensors.size() == 7 + 2 * 5);
  CHECK(same_bytes(left.tensors, right.tensors));
  CHECK(left.metadata.at("random") == right.metadata.at("random"));
  CHECK(left.metadata.at("optimizer") == right.metadata.at("optimizer"));
  CHECK(history(a) == history(b));
  CHECK(read_file(a / "best.safetensors") == read_file(b / "best.safetensors"));
}

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("a run interrupted at any step and gone on with ends in the same bytes") {
  const TemporaryFolder whole;
  Program program(whole.path());
  const auto expected = program.run();
  CHECK(expected.steps == kEpochs * kStepsPerEpoch);
  for (const std::int64_t stop : {0, 1, 4, 5, 6, 12, 19, 20}) {
    INFO("interrupted after step ", stop);
    const TemporaryFolder parts;
    Program first(parts.path());
    const auto before = first.run(stop);
    CHECK(before.interrupted);
    CHECK(before.steps == stop);
    Program second(parts.path());
    const auto after = second.run();
    CHECK(!after.interrupted);
    CHECK(after.steps == expected.steps);
    CHECK(after.train.loss == expected.train.loss);
    CHECK(after.train.accuracy == expected.train.accuracy);
    CHECK(after.validation.loss == expected.validation.loss);
    CHECK(after.seconds > before.seconds);
    CHECK(same_bytes(layers::weights(*second.model), layers::weights(*program.model)));
    check_same(parts.path(), whole.path());
  }
}

TEST_CASE("a run interrupted after every single step ends in the same bytes") {
  const TemporaryFolder whole, parts;
  Program(whole.path()).run();
  for (std::int64_t stop = 1; stop <= kEpochs * kStepsPerEpoch; ++stop)
    CHECK(Program(parts.path()).run(stop).steps == stop);
  Program(parts.path()).run();
  check_same(parts.path(), whole.path());
}

TEST_CASE("a run in bf16 that was interrupted ends in the same bytes") {
  if (!is_supported(Precision::bf16)) {
    MESSAGE("this processor has no bf16");
    return;
  }
  const TemporaryFolder whole, parts;
  for (const auto& [folder, stop] : {std::pair(&whole, -1), std::pair(&parts, 7), std::pair(&parts, -1)}) {
    Program program(folder->path());
    program.options.precision = Precision::bf16;
    program.run(stop);
  }
  check_same(parts.path(), whole.path());
}

TEST_CASE("a run interrupted in an evaluation makes the evaluation again") {
  struct InterruptEvaluation : Callback {
    std::atomic<bool>& flag;
    explicit InterruptEvaluation(std::atomic<bool>& f) : flag(f) {}
    void eval_begin(TrainState& state) override { flag = flag || state.epoch == 1; }
  };
  const TemporaryFolder whole, parts;
  Program(whole.path()).run();
  Program first(parts.path());
  const auto before = first.run(
      -1, [&](Trainer& trainer) { trainer.add(std::make_unique<InterruptEvaluation>(first.interrupt)); });
  CHECK(before.interrupted);
  CHECK(before.steps == 2 * kStepsPerEpoch);
  Program(parts.path()).run();
  check_same(parts.path(), whole.path());
}

TEST_CASE("a run that a callback stopped stays stopped") {
  const TemporaryFolder folder;
  const auto stop = [](Trainer& trainer) {
    trainer.add(at_step_end([](TrainState& state) {
      if (state.step != 6) return;
      state.stop = true;
      state.stop_reason = "enough";
    }));
  };
  CHECK(Program(folder.path()).run(-1, stop).steps == 7);
  const std::string before = history(folder.path());
  const auto again = Program(folder.path()).run();
  CHECK(again.steps == 7);
  CHECK(again.stop_reason == "enough");
  CHECK(history(folder.path()) == before);

  // Interrupted by the very step that asked to stop: the evaluation is still to come.
  const TemporaryFolder other;
  CHECK(Program(other.path()).run(7, stop).interrupted);
  CHECK(Program(other.path()).run().steps == 7);
  CHECK(history(other.path()) == before);
}

TEST_CASE("going on with a finished run gives its result and its best weights at once") {
  const TemporaryFolder folder;
  Program first(folder.path());
  const auto expected = first.run();
  const std::string before = history(folder.path());
  Program second(folder.path());
  const auto result = second.run();
  CHECK(result.steps == expected.steps);
  CHECK(result.train.loss == expected.train.loss);
  CHECK(result.validation.accuracy == expected.validation.accuracy);
  CHECK(history(folder.path()) == before);
  CHECK(same_bytes(layers::weights(*second.model),
                   layers::load_safetensors(folder / "best.safetensors").tensors) == false);
  for (const auto& [name, tensor] : layers::load_safetensors(folder / "best.safetensors").tensors)
    for (const auto& [own, weight] : layers::weights(*second.model))
      if (name == own) CHECK(same_bytes(tensor, weight));
}

TEST_CASE("a checkpoint of another run is refused with what differs") {
  const TemporaryFolder folder;
  Program(folder.path()).run(7);
  const auto message_of = [&](const std::function<void(Program&)>& change,
                              const std::function<void(Trainer&)>& more = {}) -> std::string {
    Program program(folder.path());
    change(program);
    const auto weights = layers::weights(*program.model);
    std::vector<layers::NamedTensor> before;
    for (const auto& [name, tensor] : weights) before.push_back({name, tensor.clone()});
    try {
      program.run(-1, more);
    } catch (const Error& error) {
      CHECK(same_bytes(weights, before));
      return error.what();
    }
    return "(no error)";
  };
  const auto check_message = [](const std::string& message, const std::string& part) {
    INFO(message);
    CHECK(message.find("cannot go on from checkpoint") == 0);
    CHECK(message.find("run.safetensors: it belongs to another run: ") != std::string::npos);
    CHECK(message.find(part) != std::string::npos);
  };
  check_message(message_of([](Program& p) { p.options.epochs = 9; }), "epochs is 4 there, 9 here");
  check_message(message_of([](Program& p) {
                  p.train = {std::make_shared<Spots>(75), {.batch = 8, .shuffle = true, .seed = 5}};
                }),
                "batch is 16 there, 8 here; seed is 1 there, 5 here.");
  check_message(message_of([](Program& p) { p.train = spots(80); }),
                "training set is 75 images of [6,6,1] in 3 classes there, 80");
  check_message(message_of([](Program& p) { p.validation = spots(41); }), "validation set is 40 images");
  check_message(message_of([](Program& p) { p.options.schedule = ConstantSchedule{0.5f}; }),
                "constant(learning_rate=0.5) here");
  check_message(message_of([](Program& p) { p.options.max_grad_norm = 2; }),
                "max_grad_norm is 1 there, 2 here");
  if (is_supported(Precision::bf16))
    check_message(message_of([](Program& p) { p.options.precision = Precision::bf16; }),
                  "precision is f32 there, bf16 here");
  check_message(message_of([](Program& p) { p.options.label_smoothing = 0; }),
                "loss is cross_entropy(label_smoothing=0.1)");
  check_message(message_of([](Program& p) {
                  p.optimizer = std::make_unique<Adam>(p.model->parameters(), Adam::Options{});
                }),
                "optimizer is adamw(beta1=0.9, beta2=0.999, epsilon=1e-07, weight_decay=0.01) there, adam(");
  check_message(message_of([](Program& p) {
                  p.optimizer.reset();
                  p.model->add<layers::Softmax>("softmax");
                  p.model->add<layers::Linear>("more", {.in = 3, .out = 3});
                  p.optimizer =
                      std::make_unique<AdamW>(p.model->parameters(), Adam::Options{.weight_decay = 0.01f});
                }),
                "model is 7 tensors with 247 elements");
  struct Counter : Callback {
    std::string state_name() const override { return "counter"; }
  };
  check_message(
      message_of([](Program&) {}, [](Trainer& t) { t.add(std::make_unique<Counter>()); }),
      "callbacks is history best early_stopping reduce_on_plateau there, history best early_stopping "
      "reduce_on_plateau counter here");
}

TEST_CASE("the weights alone can be read from a training checkpoint and from a weights file") {
  const TemporaryFolder folder;
  Program program(folder.path());
  program.options.model_name = "tiny";
  program.run(7);
  for (const char* file : {"run.safetensors", "best.safetensors"}) {
    const layers::Checkpoint checkpoint = load_model_weights(folder / file);
    CHECK(checkpoint.metadata.at("model") == "tiny");
    const auto model = tiny_model(99);
    layers::load_weights(*model, checkpoint.tensors);
    CHECK(same_bytes(layers::weights(*model), layers::weights(*program.model)) == (file[0] == 'r'));
  }
}

TEST_CASE("a broken checkpoint is refused with its name and what is wrong") {
  const TemporaryFolder folder;
  Program(folder.path()).run(7);
  const auto path = folder / "run.safetensors";
  const layers::Checkpoint good = layers::load_safetensors(path);
  const auto with = [&](const std::string& key, const std::string& text) {
    layers::Checkpoint changed = good;
    changed.metadata[key] = text;
    layers::save_safetensors(changed, path);
    return Program(folder.path()).run();
  };
  CHECK_ERROR(with("lathe_training", "2"), "its layout has version 2, this program reads 1");
  CHECK_ERROR(with("progress", "{"), "run.safetensors: its metadata is broken");
  CHECK_ERROR(with("progress", "{}"), "its metadata is broken");
  CHECK_ERROR(with("fingerprint", "[1,2]"), "its metadata is broken");
  CHECK_ERROR(with("random", "{}"), "there are 0 random states, the model has 1");
  CHECK_ERROR(with("random", R"({"dropout.rng":[1]})"), "its metadata is broken");
  CHECK_ERROR(with("optimizer", R"({"steps":-1,"learning_rate":"0.1"})"), "-1 is not a natural number");
  CHECK_ERROR(with("optimizer", R"({"steps":7,"learning_rate":"nan"})"), "the learning rate is nan");
  CHECK_ERROR(with("callbacks", "{}"), "its metadata is broken");
  CHECK_ERROR(with("callbacks", R"({"history":"","best":"1 x","early_stopping":"","reduce_on_plateau":""})"),
              "'x' is not a number");
  const auto progress = [&](const std::string& from, const std::string& to) {
    std::string text = good.metadata.at("progress");
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return with("progress", text.replace(at, from.size(), to));
  };
  CHECK_ERROR(progress("\"step_in_epoch\":2", "\"step_in_epoch\":6"),
              "it stands at step 6 of epoch 2, there are 5 steps");
  CHECK_ERROR(progress("\"epoch\":1", "\"epoch\":-1"), "-1 is not a natural number");
  CHECK_ERROR(progress("\"epoch\":1", "\"epoch\":5"), "of epoch 6, there are 5 steps and 4 epochs");
  CHECK_ERROR(progress("\"step\":7", "\"step\":8"), "step 8 is not step 2 of epoch 2");

  layers::Checkpoint fewer = good;
  fewer.tensors.pop_back();
  layers::save_safetensors(fewer, path);
  CHECK_ERROR(Program(folder.path()).run(), "is missing");
  layers::save_weights(*tiny_model(), "tiny", path);
  CHECK_ERROR(Program(folder.path()).run(),
              "it is not a training checkpoint: there is no 'lathe_training' in it");
  write_file(path, std::string_view("garbage"));
  CHECK_ERROR(Program(folder.path()).run(), "run.safetensors");
}

TEST_CASE("checkpoints within an epoch are written every so many steps") {
  const TemporaryFolder folder;
  Program program(folder.path());
  program.options.checkpoint_every = 2;
  std::set<std::string> seen;
  program.run(-1, [&](Trainer& trainer) {
    trainer.add(at_step_end([&](TrainState&) {
      if (!std::filesystem::exists(folder / "run.safetensors")) return;
      const auto checkpoint = layers::load_safetensors(folder / "run.safetensors");
      const std::string& text = checkpoint.metadata.at("optimizer");
      seen.insert(text.substr(text.find("\"steps\":") + 8));
    }));
  });
  CHECK(seen ==
        std::set<std::string>{"2}", "4}", "5}", "6}", "8}", "10}", "12}", "14}", "15}", "16}", "18}"});
}

TEST_CASE("fitting again without a checkpoint starts anew, callbacks too") {
  const TemporaryFolder folder;
  Program program(folder.path());
  Trainer trainer(*program.model, *program.optimizer, {.epochs = 2});
  trainer.add(std::make_unique<HistoryCsv>(folder / "history.csv"));
  CHECK(trainer.fit(program.train).steps == 10);
  CHECK(trainer.fit(program.train).steps == 10);
  CHECK(std::ranges::count(text_of(folder / "history.csv"), '\n') == 3);
}

TEST_CASE("Ctrl-C finishes the step, writes a checkpoint and returns") {
  const TemporaryFolder folder, whole;
  {
    const InterruptGuard guard;
    Program program(folder.path());
    program.options.interrupt = guard.flag();
    const auto result = program.run(-1, [](Trainer& trainer) {
      trainer.add(at_step_end([](TrainState& state) {
        if (state.step == 8) std::raise(SIGINT);
      }));
    });
    CHECK(result.interrupted);
    CHECK(result.steps == 9);
    CHECK(guard.exit_code() == 130);
  }
  Program(folder.path()).run();
  Program(whole.path()).run();
  check_same(folder.path(), whole.path());
}

// Run by the next test in a process of its own, which it kills.
TEST_CASE("(helper) trains with a checkpoint at every step" * doctest::skip()) {
  const char* folder = std::getenv("LATHE_TEST_FOLDER");
  REQUIRE(folder != nullptr);
  Program program(folder);
  program.options.checkpoint_every = 1;
  program.run();
}

TEST_CASE("a process killed at any moment leaves a checkpoint that can be gone on with") {
  const TemporaryFolder whole;
  Program(whole.path()).run();
  int killed = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const TemporaryFolder folder;
    const std::string variable = "LATHE_TEST_FOLDER=" + folder.path().string();
    std::string program = "/proc/self/exe", filter = "-tc=(helper) trains with a checkpoint at every step",
                all = "-ns";
    char* arguments[] = {program.data(), filter.data(), all.data(), nullptr};
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    environment.push_back(const_cast<char*>(variable.c_str()));
    environment.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    REQUIRE(::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environment.data()) == 0);
    ::posix_spawn_file_actions_destroy(&actions);

    // Waits for the first checkpoint, then a little more each time.
    const timespec moment{0, 1'000'000};
    int status = 0;
    while (!std::filesystem::exists(folder / "run.safetensors") && ::waitpid(child, &status, WNOHANG) == 0)
      ::nanosleep(&moment, nullptr);
    const timespec delay{0, attempt * 3'000'000 + attempt * 137'000};
    ::nanosleep(&delay, nullptr);
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);

    Program(folder.path()).run();
    check_same(folder.path(), whole.path());
  }
  CHECK(killed > 0);
}
