#pragma once

#include <doctest/doctest.h>

#include <lathe/base/io.h>

#include <cstdlib>
#include <string>

/// Checks that `text` is the content of tests/golden/`name`. With LATHE_UPDATE_GOLDEN set in the environment
/// the file is written instead: look at the difference before it is committed. Needs -DLATHE_SOURCE="source
/// root".
inline void check_golden(const std::string& name, const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(LATHE_SOURCE) / "tests/golden" / name;
  if (std::getenv("LATHE_UPDATE_GOLDEN") != nullptr) lathe::write_file(path, text);
  const auto bytes = lathe::read_file(path);
  INFO("golden file ", path.string());
  CHECK(text == std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}
