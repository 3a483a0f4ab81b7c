#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lathe::experiments {

/// A file that TensorBoard reads, in the TFRecord format: records of length, masked CRC-32C of the length,
/// message, masked CRC-32C of the message. It grows while training runs; a record that a kill cuts off is
/// skipped by readers.
class EventFile {
 public:
  /// Makes `folder` where it is missing and a file in it of a new name. From `first_step` on it replaces what
  /// other files in the folder say: a training that goes on from a checkpoint repeats some steps. Throws
  /// Error when the file cannot be written; so do the others.
  EventFile(const std::filesystem::path& folder, std::int64_t first_step);

  struct Scalar {
    std::string tag;
    double value = 0;
  };
  void add(std::int64_t step, std::span<const Scalar> scalars);

  /// Values of a tensor, for a histogram; what is not finite is left out.
  struct Values {
    std::string tag;
    std::span<const float> values;
  };
  void add(std::int64_t step, const Values& values);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(const std::string& message);

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace lathe::experiments
