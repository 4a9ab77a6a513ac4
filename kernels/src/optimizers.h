/* Optimizers share: what joins the update of a block of weights, tile by tile. */

#include "kernels.h"

/* Operands 0 to 3 are p, g, other and shrink. */
#define GK_WEIGHTS "p!= g= other?= shrink()? "

static const char *gk_same_sizes(const gk_array *a)
{
    return a[1].size != a[0].size || (a[2].data && a[2].size != a[0].size) ? "weights and gradients differ in size" : NULL;
}
