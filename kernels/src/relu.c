/* ReLU, y = max(x, 0), and the gradient through it: dy where y is not 0. Both move bits: NaN and infinity stay. */

#ifndef REAL
#include "kernels.h"
#define SOURCE "relu.c"
#include "each_real.h"

const gk_kernel gk_relu = {"relu", "x= y!=", NULL, relu_float, relu_double};
const gk_kernel gk_relu_gradient = {"relu_gradient", "y= dy!=", NULL, relu_gradient_float, relu_gradient_double};
#else

GK_CLONES static void NAME(relu)(const gk_array *a)
{
    const REAL *x = a[0].data;
    REAL *y = a[1].data;
    const ptrdiff_t n = a[0].size;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] <= 0 ? 0 : x[i];
}

GK_CLONES static void NAME(relu_gradient)(const gk_array *a)
{
    const BITS *y = a[0].data;
    BITS *dy = a[1].data;
    const ptrdiff_t n = a[0].size;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < n; i++)
        dy[i] = y[i] ? dy[i] : 0;
}
#endif
