#pragma once

#include <chrono>
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
///   loop          runs all images one by one, copying each in and its answer out: nanoseconds of the whole
///   outputs FILE  runs all images and writes their outputs to FILE as floats: "ok"
/// They wait in between without using a core.
namespace peers {

constexpr std::size_t kPixels = 28 * 28;
constexpr std::size_t kClasses = 10;

using Clock = std::chrono::steady_clock;

inline long long nanoseconds(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}

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

/// `prepare(i)` goes before run i and is not timed.
template <typename Prepare, typename Run>
void answer_time(std::size_t count, Prepare prepare, Run run) {
  for (std::size_t i = 0; i < std::max<std::size_t>(count / 5, 10); ++i) prepare(i), run();
  std::vector<long long> times(count);
  for (std::size_t i = 0; i < count; ++i) {
    prepare(i);
    const auto begin = Clock::now();
    run();
    times[i] = nanoseconds(begin);
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
    if (std::size_t runs = 0; request == "time" && words >> runs) {
      answer_time(runs, load, run);
    } else if (request == "loop") {
      const auto begin = Clock::now();
      run_all();
      std::cout << nanoseconds(begin) << std::endl;
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
