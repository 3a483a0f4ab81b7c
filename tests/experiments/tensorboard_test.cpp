#include <lathe/base/io.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/datasets/synthetic_digits.h>
#include <lathe/layers/layers.h>
#include <lathe/optim/optimizer.h>

#include <doctest/doctest.h>
#include <events.pb.h>

#include "support/errors.h"
#include "support/temporary_folder.h"
#include "tensorboard/callback.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

using namespace lathe;
using namespace lathe::experiments;

namespace {

/// Bit by bit, apart from the table that the writer uses.
std::uint32_t masked_crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

template <typename T>
T take(std::string_view& bytes) {
  REQUIRE(bytes.size() >= sizeof(T));
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

std::string contents(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<events::Event> read_events(const std::filesystem::path& path) {
  const std::string all = contents(path);
  std::string_view rest = all;
  std::vector<events::Event> result;
  while (!rest.empty()) {
    const std::string_view header = rest.substr(0, 8);
    const auto size = take<std::uint64_t>(rest);
    CHECK(take<std::uint32_t>(rest) == masked_crc32c(header));
    REQUIRE(rest.size() >= size);
    const std::string_view message = rest.substr(0, size);
    rest.remove_prefix(size);
    CHECK(take<std::uint32_t>(rest) == masked_crc32c(message));
    REQUIRE(result.emplace_back().ParseFromArray(message.data(), static_cast<int>(size)));
  }
  return result;
}

/// The values of each tag by step.
std::map<std::string, std::map<std::int64_t, float>> scalars(const std::vector<events::Event>& events) {
  std::map<std::string, std::map<std::int64_t, float>> result;
  for (const auto& event : events)
    for (const auto& value : event.summary().value())
      if (value.has_simple_value()) result[value.tag()][event.step()] = value.simple_value();
  return result;
}

std::filesystem::path only_file(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  REQUIRE(files.size() == 1);
  CHECK(files[0].filename().string().starts_with("events.out.tfevents."));
  return files[0];
}

}  // namespace

TEST_CASE("an event file begins as those of TensorFlow do, and holds what was added") {
  const TemporaryFolder folder;
  const EventFile::Scalar two[] = {{"loss/train", 0.5}, {"accuracy/train", 0.875}};
  std::vector<float> values(100);
  for (int i = 0; i < 100; ++i) values[static_cast<std::size_t>(i)] = static_cast<float>(i - 40) / 10;
  values.push_back(std::numeric_limits<float>::quiet_NaN());
  {
    EventFile file(folder.path() / "a" / "b", 0);
    file.add(7, two);
    file.add(9, EventFile::Values{"weights/conv", values});
  }
  const auto path = only_file(folder.path() / "a" / "b");
  // 24 bytes of time and version, then the checksum of that 24: the same in every event file there is.
  CHECK(contents(path).substr(0, 12) == std::string("\x18\0\0\0\0\0\0\0\xA3\x7FK\"", 12));
  const auto events = read_events(path);
  REQUIRE(events.size() == 4);
  CHECK(events[0].file_version() == "brain.Event:2");
  CHECK(events[0].wall_time() > 1.6e9);
  CHECK(events[1].session_log().status() == events::SessionLog::START);
  CHECK(events[2].step() == 7);
  CHECK(scalars(events)["accuracy/train"][7] == 0.875f);
  CHECK(events[3].step() == 9);
  CHECK(events[3].summary().value(0).tag() == "weights/conv");
  const events::Histogram& histogram = events[3].summary().value(0).histo();
  CHECK(histogram.num() == 100);
  CHECK(histogram.min() == -4);
  CHECK(histogram.max() == doctest::Approx(5.9));
  REQUIRE(histogram.bucket_size() == histogram.bucket_limit_size());
  CHECK(std::ranges::is_sorted(histogram.bucket_limit()));
  double counted = 0, below_zero = 0;
  for (int i = 0; i < histogram.bucket_size(); ++i) {
    counted += histogram.bucket(i);
    if (histogram.bucket_limit(i) < 0) below_zero += histogram.bucket(i);
  }
  CHECK(counted == 100);
  CHECK(below_zero == 40);
}

TEST_CASE("a training with passes leaves what happened to each weight and range") {
  const TemporaryFolder folder;
  const datasets::DataLoader loader(datasets::synthetic_digits(96, 1), {.batch = 16});
  layers::Sequential model;
  model.add<layers::Flatten>("flatten");
  model.add<layers::Linear>("linear", {.in = 784, .out = 10});
  model.reset(Rng(1));
  auto pruning = compress::prune(
      model, {.schedule = compress::PolynomialDecay{.final = 0.5f, .begin = 0, .end = 8, .frequency = 2}});
  const Tensor images = loader.epoch(0).next()->images;
  auto quantization = compress::quantize_aware(model, {1, 28, 28, 1}, std::span(&images, 1));
  optim::Adam optimizer(model.parameters(), {.learning_rate = 0.001f});
  optim::Trainer trainer(model, optimizer, {.epochs = 2});
  trainer.add(std::move(pruning));
  trainer.add(std::move(quantization));
  trainer.add(std::make_unique<TensorBoard>(folder.path()));
  const auto result = trainer.fit(loader, &loader);

  const auto events = read_events(only_file(folder.path()));
  auto by_tag = scalars(events);
  CHECK(by_tag["loss/step"].size() == 12);
  CHECK(by_tag["learning_rate"][12] == 0.001f);
  CHECK(by_tag["loss/train"][12] == doctest::Approx(result.train.loss));
  CHECK(by_tag["accuracy/validation"][12] == doctest::Approx(result.validation.accuracy));
  CHECK(by_tag["sparsity/linear.weight"].size() == 13);
  CHECK(by_tag["sparsity/linear.weight"][0] < 0.1f);
  CHECK(by_tag["sparsity/linear.weight"][12] >= 0.5f);
  CHECK(by_tag["unique_values/linear.weight"][12] > 100);
  CHECK(by_tag["linear.output.range/min"][12] < 0);
  CHECK(by_tag["linear.output.range/max"][12] > 0);
  std::vector<std::int64_t> histograms;
  for (const auto& event : events)
    for (const auto& value : event.summary().value())
      if (value.has_histo()) {
        CHECK(value.tag() == "weights/linear.weight");
        CHECK(value.histo().num() == 7840);
        histograms.push_back(event.step());
      }
  CHECK(histograms == std::vector<std::int64_t>{0, 6, 12});
}

TEST_CASE("a training that goes on says from where in a file of its own") {
  const TemporaryFolder folder;
  layers::Sequential model;
  model.add<layers::Linear>("linear", {.in = 4, .out = 2});
  model.reset(Rng(1));
  optim::Adam optimizer(model.parameters(), {});
  optim::TrainState state{
      .model = model, .optimizer = optimizer, .epochs = 2, .step = 5, .steps_per_epoch = 4};
  TensorBoard callback(folder.path());
  callback.fit_begin(state);
  const auto events = read_events(only_file(folder.path()));
  REQUIRE(events.size() == 2);
  CHECK(events[1].session_log().status() == events::SessionLog::START);
  CHECK(events[1].step() == 5);
  TensorBoard(folder.path()).fit_begin(state);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
}

TEST_CASE("a folder that cannot be made is an error that names it") {
  const TemporaryFolder folder;
  write_file(folder.path() / "file", "x");
  CHECK_ERROR(EventFile(folder.path() / "file" / "runs", 0), "TensorBoard");
}
