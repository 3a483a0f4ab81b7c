#include <lathe/base/error.h>
#include <lathe/datasets/dataset.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace lathe::datasets {

void Dataset::read_batch(std::span<const std::int64_t> indices, std::span<float> out, const Rng& rng) const {
  const auto length = static_cast<std::size_t>(image_shape().size());
  assert(out.size() == indices.size() * length);
  for (std::size_t i = 0; i < indices.size(); ++i) read(indices[i], out.subspan(i * length, length), rng);
}

namespace {

class Subset : public Dataset {
 public:
  Subset(DatasetPtr source, std::vector<std::int64_t> indices)
      : source_(std::move(source)), indices_(std::move(indices)) {
    for (const std::int64_t index : indices_) {
      check(index >= 0 && index < source_->size(), "subset: index {} is outside a data set of {} samples",
            index, source_->size());
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  Shape image_shape() const override { return source_->image_shape(); }
  const std::vector<std::string>& classes() const override { return source_->classes(); }
  std::int32_t label(std::int64_t index) const override { return source_->label(at(index)); }
  void read(std::int64_t index, std::span<float> out, const Rng& rng) const override {
    source_->read(at(index), out, rng);
  }
  void read_batch(std::span<const std::int64_t> indices, std::span<float> out,
                  const Rng& rng) const override {
    std::vector<std::int64_t> inner(indices.size());
    std::transform(indices.begin(), indices.end(), inner.begin(),
                   [this](std::int64_t index) { return at(index); });
    source_->read_batch(inner, out, rng);
  }

 private:
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  DatasetPtr source_;
  std::vector<std::int64_t> indices_;
};

class Mapped : public Dataset {
 public:
  Mapped(DatasetPtr source, Transform transform)
      : source_(std::move(source)), transform_(std::move(transform)) {}

  std::int64_t size() const override { return source_->size(); }
  Shape image_shape() const override { return source_->image_shape(); }
  const std::vector<std::string>& classes() const override { return source_->classes(); }
  std::int32_t label(std::int64_t index) const override { return source_->label(index); }
  void read(std::int64_t index, std::span<float> out, const Rng& rng) const override {
    source_->read(index, out, rng.split("source"));  // a map of a map draws other numbers
    transform(index, out, rng);
  }
  void read_batch(std::span<const std::int64_t> indices, std::span<float> out,
                  const Rng& rng) const override {
    source_->read_batch(indices, out, rng.split("source"));
    const auto length = static_cast<std::size_t>(image_shape().size());
    for (std::size_t i = 0; i < indices.size(); ++i)
      transform(indices[i], out.subspan(i * length, length), rng);
  }

 private:
  void transform(std::int64_t index, std::span<float> image, const Rng& rng) const {
    transform_(image, source_->image_shape(), rng.split(static_cast<std::uint64_t>(index)));
  }

  DatasetPtr source_;
  Transform transform_;
};

std::vector<std::int64_t> iota(std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return indices;
}

}  // namespace

DatasetPtr subset(DatasetPtr source, std::vector<std::int64_t> indices) {
  return std::make_shared<Subset>(std::move(source), std::move(indices));
}

DatasetPtr take(DatasetPtr source, std::int64_t count) {
  check(count >= 0, "take: {} samples, expected at least 0", count);
  if (count >= source->size()) return source;
  return subset(std::move(source), iota(count));
}

DatasetPtr map(DatasetPtr source, Transform transform) {
  check(static_cast<bool>(transform), "map: the transform is empty");
  return std::make_shared<Mapped>(std::move(source), std::move(transform));
}

std::pair<DatasetPtr, DatasetPtr> split(DatasetPtr source, double share, std::uint64_t seed) {
  check(share >= 0 && share < 1, "split: share {} is out of range, expected at least 0 and less than 1",
        share);
  const std::int64_t size = source->size();
  const auto count = static_cast<std::int64_t>(std::llround(share * static_cast<double>(size)));
  check(count > 0 && count < size, "split: a share of {} of {} samples leaves one part empty", share, size);

  // Fisher-Yates, only as far as it is needed: the first `count` are the ones split off.
  std::vector<std::int64_t> order = iota(size);
  Rng rng = Rng(seed).split("split");
  for (std::int64_t i = 0; i < count; ++i) {
    const auto other = i + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(size - i)));
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(other)]);
  }
  const auto middle = order.begin() + count;
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return {subset(source, {middle, order.end()}), subset(source, {order.begin(), middle})};
}

}  // namespace lathe::datasets
