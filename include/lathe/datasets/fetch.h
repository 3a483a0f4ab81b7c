#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::datasets {

/// A file to download and how to recognise it.
struct RemoteFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;  ///< 64 hexadecimal digits
};

/// A data set that can be downloaded: its files lie under each of the mirrors (URLs of folders, tried in
/// order).
struct RemoteDataset {
  std::string name;
  std::vector<std::string> mirrors;
  std::vector<RemoteFile> files;
};

/// mnist.
std::span<const RemoteDataset> remote_datasets();

struct FetchOptions {
  /// Called while a file is downloaded with the bytes that are there. What it throws ends the download.
  std::function<void(const RemoteFile& file, std::uint64_t bytes)> progress = {};
  /// Told what a person wants to know, a line without its end each: a file is there already, is damaged, a
  /// mirror failed.
  std::function<void(std::string_view line)> note = {};
  int connect_seconds = 15;  ///< a mirror that has not answered by then is passed over
  int stall_seconds = 30;    ///< as is one that sends nothing for so long
};

/// Downloads what is missing into root/name: resumes partial files (FILE.part), checks size and SHA-256, and
/// only then puts a file under its name. A mirror that fails or sends other bytes is passed over. Files that
/// are there and whole are kept. Throws Error that lists what each mirror said.
void fetch(const RemoteDataset& dataset, const std::filesystem::path& root, const FetchOptions& options = {});

}  // namespace lathe::datasets
