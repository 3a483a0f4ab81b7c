// Runs a fuzz target without a fuzzer: its seeds and the files given, once each.
//   TARGET FILE|FOLDER...
//   TARGET --mutate N FILE|FOLDER...   then N changed inputs, the same at every run
//   TARGET --write FOLDER              writes the seeds into a folder, to start a real fuzzer from

#include "fuzz.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/base/random.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <vector>

namespace {

using Bytes = std::vector<std::byte>;

std::vector<Bytes> read_all(std::vector<std::filesystem::path> paths) {
  std::vector<std::filesystem::path> files;
  for (const auto& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<Bytes> inputs;
  for (const auto& file : files) inputs.push_back(lathe::read_file(file));
  return inputs;
}

/// One change: a byte, a bit, an interesting number, a part removed, repeated or taken from another input.
void change(Bytes& bytes, const std::vector<Bytes>& others, lathe::Rng& rng) {
  constexpr std::uint8_t kInteresting[] = {0, 1, 2, 0x7F, 0x80, 0x81, 0xFE, 0xFF};
  if (bytes.empty()) bytes.resize(1);
  const std::size_t at = rng.below(bytes.size());
  const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  const auto length =
      static_cast<std::ptrdiff_t>(rng.below(std::min<std::size_t>(bytes.size() - at, 16)) + 1);
  switch (rng.below(6)) {
    case 0:
      *place = static_cast<std::byte>(rng.below(256));
      break;
    case 1:
      *place ^= static_cast<std::byte>(1U << rng.below(8));
      break;
    case 2:
      *place = static_cast<std::byte>(kInteresting[rng.below(std::size(kInteresting))]);
      break;
    case 3:
      bytes.erase(place, place + length);
      break;
    case 4: {
      const Bytes part(place, place + length);
      bytes.insert(place, part.begin(), part.end());
      break;
    }
    default: {
      const Bytes& other = others[rng.below(others.size())];
      if (other.empty()) break;
      const std::size_t from = rng.below(other.size());
      const std::size_t count = std::min({other.size() - from, bytes.size() - at, std::size_t{32}});
      std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), count, place);
    }
  }
}

void run(const Bytes& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  std::filesystem::path write_to;
  std::uint64_t mutations = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--mutate") == 0 && i + 1 < argc) {
      const char* text = argv[++i];
      std::from_chars(text, text + std::strlen(text), mutations);
    } else if (std::strcmp(argv[i], "--write") == 0 && i + 1 < argc) {
      write_to = argv[++i];
    } else {
      paths.emplace_back(argv[i]);
    }
  }
  std::vector<Bytes> inputs = fuzz::seeds();
  for (std::size_t i = 0; i < inputs.size() && !write_to.empty(); ++i)
    lathe::write_file(write_to / std::to_string(i), inputs[i]);
  std::ranges::move(read_all(paths), std::back_inserter(inputs));
  fuzz::require(!inputs.empty(), "no inputs given");
  for (const Bytes& bytes : inputs) run(bytes);
  lathe::Rng rng(1);
  for (std::uint64_t i = 0; i < mutations; ++i) {
    Bytes bytes = inputs[rng.below(inputs.size())];
    for (std::uint64_t changes = rng.below(4) + 1; changes > 0; --changes) change(bytes, inputs, rng);
    run(bytes);
  }
  std::printf("%zu inputs and %llu changed ones\n", inputs.size(),
              static_cast<unsigned long long>(mutations));
  return 0;
}
