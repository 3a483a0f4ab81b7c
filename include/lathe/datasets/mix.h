#pragma once

#include <lathe/datasets/loader.h>

#include <vector>

/// Transforms of whole batches, DataLoader::Options::mix: images that are partly another image of the batch,
/// with the labels of both. What is random depends on the loader's seed, the epoch and the batch only.
namespace lathe::datasets {

/// Each image becomes share * image + (1 - share) * another one; the share, one for the batch, is drawn from
/// Beta(alpha, alpha). Zhang et al. 2018, "mixup", section 2. Throws Error unless 0 < alpha <= 4.
Mixing mixup(float alpha = 0.2f);

/// A rectangle of each image, the same for the batch, is that of another one; its area is 1 - share of the
/// image's before it is clipped to the image, the share drawn from Beta(alpha, alpha). Yun et al. 2019,
/// "CutMix", section 3.1. Throws Error unless 0 < alpha <= 4.
Mixing cutmix(float alpha = 1);

/// One of these for each batch, at random; one that is empty leaves the batch as it is. Throws Error when
/// there is none.
Mixing one_of(std::vector<Mixing> mixings);

}  // namespace lathe::datasets
