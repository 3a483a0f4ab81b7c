#include "folder_parts.h"

#include <lathe/base/error.h>
#include <lathe/base/random.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace lathe::datasets {
namespace {

namespace fs = std::filesystem;
using Photo = FolderContent::Photo;

constexpr double kTrainShare = 0.7, kValidationShare = 0.2;

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool named_like_photo(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 4> kKnown{".jpg", ".jpeg", ".png", ".bmp"};
  return std::find(kKnown.begin(), kKnown.end(), extension) != kKnown.end();
}

std::int64_t number_of(const fs::path& path) {
  constexpr std::size_t kMostDigits = 18;
  const std::string name = path.stem().string();
  std::int64_t number = -1;
  const bool digits =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (digits && name.size() <= kMostDigits) std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

/// Visible entries in the order of their names.
std::vector<fs::path> entries(const fs::path& folder) {
  std::error_code failed;
  std::vector<fs::path> result;
  fs::directory_iterator entry(folder, failed);
  for (const fs::directory_iterator end; !failed && entry != end; entry.increment(failed))
    if (!hidden(entry->path())) result.push_back(entry->path());
  check(!failed, "{}: {}", folder.string(), failed.message());
  std::sort(result.begin(), result.end());
  return result;
}

void list_class(const fs::path& folder, FolderContent& content) {
  const auto label = static_cast<std::int32_t>(content.classes.size());
  content.classes.push_back(folder.filename().string());
  for (const fs::path& path : entries(folder)) {
    std::error_code ignored;
    const std::string name = content.classes.back() + "/" + path.filename().string();
    if (!fs::is_regular_file(path, ignored))
      content.skipped.push_back({name, "not a regular file"});
    else if (!named_like_photo(path))
      content.skipped.push_back({name, "its name does not end in .jpg, .jpeg, .png or .bmp"});
    else
      content.photos.push_back({path, label, number_of(path)});
  }
}

std::int64_t highest_number(const std::vector<Photo>& photos) {
  std::int64_t highest = 0;
  for (const Photo& photo : photos) highest = std::max(highest, photo.number);
  return highest;
}

/// 70, 20 and 10 % of one class, each in order.
void split_by_seed(std::vector<Photo> photos, Rng rng, FolderParts& parts) {
  for (std::size_t i = photos.size(); i > 1; --i) std::swap(photos[i - 1], photos[rng.below(i)]);
  const auto share = [&](double part) {
    return static_cast<std::ptrdiff_t>(std::llround(part * static_cast<double>(photos.size())));
  };
  const auto by_path = [](const Photo& a, const Photo& b) { return a.path < b.path; };
  auto begin = photos.begin();
  const auto move_to = [&](std::vector<Photo>& part, std::vector<Photo>::iterator end) {
    std::sort(begin, end, by_path);
    part.insert(part.end(), begin, end);
    begin = end;
  };
  const auto trained = photos.begin() + share(kTrainShare);
  const auto validated = photos.begin() + share(kTrainShare + kValidationShare);
  move_to(parts.train, trained);
  move_to(parts.validation, validated);
  move_to(parts.test, photos.end());
}

/// The first photo of each class, the second of each, ... , at most `limit` of a class (0: all).
std::vector<Photo> in_turns(const std::vector<Photo>& photos, std::size_t classes, std::int64_t limit) {
  std::vector<std::vector<Photo>> of_class(classes);
  for (const Photo& photo : photos) {
    auto& list = of_class[static_cast<std::size_t>(photo.label)];
    if (limit == 0 || static_cast<std::int64_t>(list.size()) < limit) list.push_back(photo);
  }
  std::vector<Photo> result;
  for (std::size_t i = 0, before = 0;; ++i, before = result.size()) {
    for (const auto& list : of_class)
      if (i < list.size()) result.push_back(list[i]);
    if (result.size() == before) return result;
  }
}

}  // namespace

bool FolderContent::numbered() const {
  return std::all_of(photos.begin(), photos.end(), [](const Photo& photo) { return photo.number >= 0; });
}

FolderContent list_folder(const fs::path& folder) {
  FolderContent content;
  for (const fs::path& path : entries(folder)) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) list_class(path, content);
  }
  return content;
}

FolderParts split_folder(const FolderContent& content, const FolderOptions& options) {
  FolderParts parts;
  if (content.numbered()) {
    const std::int64_t above =
        options.test_above > 0 ? options.test_above : highest_number(content.photos) * 4 / 5;
    for (const Photo& photo : content.photos)
      (photo.number > above ? parts.test : parts.train).push_back(photo);
  } else {
    for (std::size_t label = 0; label < content.classes.size(); ++label) {
      std::vector<Photo> photos;
      std::copy_if(content.photos.begin(), content.photos.end(), std::back_inserter(photos),
                   [&](const Photo& photo) { return static_cast<std::size_t>(photo.label) == label; });
      split_by_seed(std::move(photos), Rng(options.seed).split("photos").split(content.classes[label]),
                    parts);
    }
  }
  for (auto* part : {&parts.train, &parts.validation, &parts.test})
    *part = in_turns(*part, content.classes.size(), options.limit);
  return parts;
}

void check_classes(const fs::path& folder, const FolderContent& content) {
  check(content.classes.size() >= 2, "{}: {} sub-folders, expected one for each class, at least 2",
        folder.string(), content.classes.size());
}

std::string describe(const FolderContent& content) {
  const FolderParts parts = split_folder(content, {});
  std::string classes;
  for (const std::string& name : content.classes) classes += (classes.empty() ? "" : ", ") + name;
  return fmt::format("{} training{} and {} test photos, {} classes: {}", parts.train.size(),
                     parts.validation.empty() ? "" : fmt::format(", {} validation", parts.validation.size()),
                     parts.test.size(), content.classes.size(), classes);
}

}  // namespace lathe::datasets
