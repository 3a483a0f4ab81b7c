#include <lathe/base/error.h>
#include <lathe/datasets/augment.h>

#include "resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::datasets {
namespace {

class Resampled : public Dataset {
 public:
  Resampled(DatasetPtr source, Resampling resampling)
      : source_(std::move(source)), resampling_(std::move(resampling)) {}

  std::int64_t size() const override { return source_->size(); }
  Shape image_shape() const override {
    return {resampling_.height, resampling_.width, source_->image_shape()[2]};
  }
  const std::vector<std::string>& classes() const override { return source_->classes(); }
  std::int32_t label(std::int64_t index) const override { return source_->label(index); }
  void read(std::int64_t index, std::span<float> out, const Rng& rng) const override {
    const Shape shape = source_->image_shape();
    std::vector<float> image(static_cast<std::size_t>(shape.size()));
    source_->read(index, image, rng.split("source"));  // a map of a map draws other numbers
    resampling_.apply(image, shape, out, rng.split(static_cast<std::uint64_t>(index)));
  }

 private:
  DatasetPtr source_;
  Resampling resampling_;
};

void check_extents(const char* name, std::int64_t height, std::int64_t width) {
  check(height > 0 && width > 0, "{}: {}x{} pixels, expected at least 1x1", name, height, width);
}

/// Copies the part of `in` whose upper left corner is (top, left) and that is as large as `out`; zeros
/// outside of `in`.
void copy_part(std::span<const float> in, const Shape& shape, std::int64_t top, std::int64_t left,
               std::int64_t height, std::int64_t width, std::span<float> out) {
  const std::int64_t channels = shape[2];
  std::fill(out.begin(), out.end(), 0.0f);
  const std::int64_t first = std::max<std::int64_t>(0, -left), last = std::min(width, shape[1] - left);
  for (std::int64_t y = std::max<std::int64_t>(0, -top); y < std::min(height, shape[0] - top); ++y) {
    const float* row = in.data() + (top + y) * shape[1] * channels;
    std::copy(row + (left + first) * channels, row + (left + last) * channels,
              out.data() + (y * width + first) * channels);
  }
}

/// Where a part begins at random: inside an axis that is longer, else anywhere that shows all of it.
std::int64_t random_begin(std::int64_t extent, std::int64_t part, Rng& rng) {
  const std::int64_t room = extent - part;
  const auto drawn = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(std::abs(room)) + 1));
  return room >= 0 ? drawn : -drawn;
}

Box random_box(std::int64_t image_width, std::int64_t image_height, const ResizedCropOptions& options,
               Rng& rng) {
  constexpr int kTries = 10;
  const double width = static_cast<double>(image_width), height = static_cast<double>(image_height);
  const float log_aspect = std::log(options.most_aspect);
  for (int i = 0; i < kTries; ++i) {
    const double area = width * height * static_cast<double>(rng.uniform(options.least_area, 1.0f));
    const double aspect = std::exp(static_cast<double>(rng.uniform(-log_aspect, log_aspect)));
    Box box;
    box.width = std::sqrt(area * aspect);
    box.height = std::sqrt(area / aspect);
    if (box.width > width || box.height > height || box.width < 1 || box.height < 1) continue;
    box.left = static_cast<double>(rng.uniform()) * (width - box.width);
    box.top = static_cast<double>(rng.uniform()) * (height - box.height);
    return box;
  }
  const double aspect = std::clamp(width / height, 1 / static_cast<double>(options.most_aspect),
                                   static_cast<double>(options.most_aspect));
  Box box;
  box.width = std::min(width, height * aspect);
  box.height = std::min(height, width / aspect);
  box.left = (width - box.width) / 2;
  box.top = (height - box.height) / 2;
  return box;
}

}  // namespace

DatasetPtr map(DatasetPtr source, Resampling resampling) {
  check(static_cast<bool>(resampling.apply), "map: the transform is empty");
  check_extents("map", resampling.height, resampling.width);
  return std::make_shared<Resampled>(std::move(source), std::move(resampling));
}

Resampling center_crop(std::int64_t height, std::int64_t width) {
  check_extents("center_crop", height, width);
  return {height, width, [=](std::span<const float> in, const Shape& shape, std::span<float> out, Rng) {
            copy_part(in, shape, (shape[0] - height) / 2, (shape[1] - width) / 2, height, width, out);
          }};
}

Resampling random_crop(std::int64_t height, std::int64_t width) {
  check_extents("random_crop", height, width);
  return {height, width, [=](std::span<const float> in, const Shape& shape, std::span<float> out, Rng rng) {
            const std::int64_t top = random_begin(shape[0], height, rng);
            const std::int64_t left = random_begin(shape[1], width, rng);
            copy_part(in, shape, top, left, height, width, out);
          }};
}

Resampling random_resized_crop(std::int64_t height, std::int64_t width, const ResizedCropOptions& options) {
  check_extents("random_resized_crop", height, width);
  check(options.least_area > 0 && options.least_area <= 1,
        "random_resized_crop: least area {}, expected above 0 and at most 1", options.least_area);
  check(options.most_aspect >= 1, "random_resized_crop: most aspect {}, expected at least 1",
        options.most_aspect);
  return {height, width, [=](std::span<const float> in, const Shape& shape, std::span<float> out, Rng rng) {
            const Box box = random_box(shape[1], shape[0], options, rng);
            const std::int64_t line = shape[1] * shape[2];
            const auto read_row = [&](std::int64_t y, float* to) {
              std::copy_n(in.data() + y * line, line, to);
            };
            resize(shape[1], shape[0], box, read_row, {height, width, shape[2]}, out);
          }};
}

}  // namespace lathe::datasets
