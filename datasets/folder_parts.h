#pragma once

#include <lathe/datasets/folder.h>

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::datasets {

/// Photos by what they are for.
struct FolderParts {
  std::vector<FolderContent::Photo> train, validation, test;
};

/// Splits the photos of a folder as open_folder() says; in each part the classes take turns.
FolderParts split_folder(const FolderContent& content, const FolderOptions& options);

/// Throws Error naming the folder unless it has two classes or more.
void check_classes(const std::filesystem::path& folder, const FolderContent& content);

/// "8000 training and 1700 test photos, 2 classes: cat, dog"
std::string describe(const FolderContent& content);

}  // namespace lathe::datasets
