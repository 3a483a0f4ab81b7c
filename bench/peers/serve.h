#pragma once

#include <time.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iostream>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// What the programs compared by compare.py share, so that each is timed by the same code. They read requests
/// from the standard input, a line each, and answer with one line:
///   time N        warms up with N / 5 runs (at least 10), then times N: nanoseconds of each
///   cpu N         the same, but nanoseconds of processor time of the process
///   loop          runs all images one by one, copying each in and its answer out: nanoseconds of processor
///                 time, because others may get the core within something that takes so long
///   outputs FILE  runs all images and writes their outputs to FILE as floats: "ok"
/// They wait in between without using a core.
namespace peers {

constexpr std::size_t kPixels = 28 * 28;
constexpr std::size_t kClasses = 10;

inline long long nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

inline bool is_timing(const std::string& request) { return request == "time" || request == "cpu"; }

/// All numbers of a file that holds nothing else.
template <typename T>
std::vector<T> read_numbers(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<T> numbers(static_cast<std::size_t>(file.tellg()) / sizeof(T));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(numbers.data()),
            static_cast<std::streamsize>(numbers.size() * sizeof(T)));
  return numbers;
}

/// Answers `time` and `cpu`. `prepare(i)` goes before run i and is not timed.
template <typename Prepare, typename Run>
void answer_time(const std::string& request, std::size_t count, Prepare prepare, Run run) {
  const clockid_t clock = request == "cpu" ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  for (std::size_t i = 0; i < std::max<std::size_t>(count / 5, 10); ++i) prepare(i), run();
  std::vector<long long> times(count);
  for (std::size_t i = 0; i < count; ++i) {
    prepare(i);
    const long long begin = nanoseconds(clock);
    run();
    times[i] = nanoseconds(clock) - begin;
  }
  for (std::size_t i = 0; i < count; ++i) std::cout << (i == 0 ? "" : " ") << times[i];
  std::cout << std::endl;
}

/// Serves requests for a network that reads one image from `input` and leaves its scores in `output`.
template <typename Run>
void serve_inference(std::span<const float> images, std::span<float> input, std::span<const float> output,
                     Run run) {
  const std::size_t count = images.size() / kPixels;
  if (count == 0 || input.size() != kPixels || output.size() != kClasses)
    throw std::runtime_error("expected images of 28x28 pixels and a network of 10 classes");
  const auto load = [&](std::size_t i) {
    std::memcpy(input.data(), &images[i % count * kPixels], kPixels * sizeof(float));
  };
  std::vector<float> outputs(count * kClasses);
  const auto run_all = [&] {
    for (std::size_t i = 0; i < count; ++i) {
      load(i);
      run();
      std::memcpy(&outputs[i * kClasses], output.data(), kClasses * sizeof(float));
    }
  };
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string request, path;
    words >> request;
    if (std::size_t runs = 0; is_timing(request) && words >> runs) {
      answer_time(request, runs, load, run);
    } else if (request == "loop") {
      const long long begin = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
      run_all();
      std::cout << nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - begin << std::endl;
    } else if (request == "outputs" && words >> path) {
      run_all();
      std::ofstream file(path, std::ios::binary);
      file.write(reinterpret_cast<const char*>(outputs.data()),
                 static_cast<std::streamsize>(outputs.size() * sizeof(float)));
      if (!file.flush()) throw std::runtime_error("cannot write " + path);
      std::cout << "ok" << std::endl;
    } else {
      throw std::runtime_error("unknown request: " + line);
    }
  }
}

/// Calls `work` and turns what it throws into a line and an exit code.
template <typename Work>
int guarded(const char* program, Work work) {
  try {
    work();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << program << ": " << error.what() << '\n';
    return 1;
  }
}

}  // namespace peers
