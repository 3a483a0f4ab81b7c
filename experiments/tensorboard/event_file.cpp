#include "tensorboard/event_file.h"

#include "layer_history.h"

#include <lathe/base/error.h>

#include <events.pb.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

namespace lathe::experiments {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

/// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78; zlib has only the other one.
std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t rest = i;
      for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0x82F63B78U : 0);
      table[i] = rest;
    }
    return table;
  }();
  std::uint32_t crc = ~0U;
  for (char byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  return ~crc;
}

/// As TFRecord stores it, so that a CRC over data with CRCs in it stays a good one.
std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U; }

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

events::Event event_at(std::int64_t step) {
  events::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  return event;
}

void fill(events::Histogram& histogram, std::span<const float> values) {
  const auto bins = weight_histogram(values);
  const double width = bins["width"].get<double>();
  double edge = (bins["first"].get<double>() - 0.5) * width;
  for (const auto& count : bins["counts"]) {
    histogram.add_bucket_limit(edge += width);
    histogram.add_bucket(count.get<double>());
  }
  double smallest = 0, largest = 0, sum = 0, squares = 0, number = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    smallest = number > 0 ? std::min(smallest, value) : value;
    largest = number > 0 ? std::max(largest, value) : value;
    sum += value;
    squares += value * value;
    ++number;
  }
  histogram.set_min(smallest);
  histogram.set_max(largest);
  histogram.set_num(number);
  histogram.set_sum(sum);
  histogram.set_sum_squares(squares);
}

std::string file_name() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') host = {"localhost"};
  return fmt::format("events.out.tfevents.{:.6f}.{}.{}", now(), host.data(), getpid());
}

}  // namespace

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t first_step) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, "cannot make the folder '{}' for TensorBoard: {}", folder.string(), error.message());
  path_ = folder / file_name();
  file_.reset(std::fopen(path_.c_str(), "wbxe"));
  check(file_ != nullptr, "cannot write '{}': {}", path_.string(), std::strerror(errno));
  events::Event version = event_at(0);
  version.set_file_version("brain.Event:2");
  write(version.SerializeAsString());
  events::Event start = event_at(first_step);
  start.mutable_session_log()->set_status(events::SessionLog::START);
  write(start.SerializeAsString());
}

void EventFile::add(std::int64_t step, std::span<const Scalar> scalars) {
  events::Event event = event_at(step);
  for (const Scalar& scalar : scalars) {
    auto* value = event.mutable_summary()->add_value();
    value->set_tag(scalar.tag);
    value->set_simple_value(static_cast<float>(scalar.value));
  }
  write(event.SerializeAsString());
}

void EventFile::add(std::int64_t step, const Values& values) {
  events::Event event = event_at(step);
  auto* value = event.mutable_summary()->add_value();
  value->set_tag(values.tag);
  fill(*value->mutable_histo(), values.values);
  write(event.SerializeAsString());
}

void EventFile::write(const std::string& message) {
  const std::uint64_t size = message.size();
  std::string record(bytes_of(size));
  record += bytes_of(masked_crc(record));
  record += message;
  record += bytes_of(masked_crc(message));
  // Whole records reach the file one by one: TensorBoard reads it while training runs.
  const bool written = std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size();
  check(written && std::fflush(file_.get()) == 0, "cannot write '{}': {}", path_.string(),
        std::strerror(errno));
}

}  // namespace lathe::experiments
