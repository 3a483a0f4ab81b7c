#include <lathe/compress/strip.h>

namespace lathe::compress {

void strip(layers::Module& model, layers::Stage up_to) {
  // Baking changes the list of parameters only by what transforms add: handles of the weights stay good.
  for (layers::NamedParameter& named : model.parameters())
    if (!named.parameter.transforms().empty()) named.parameter.bake(up_to);
}

}  // namespace lathe::compress
