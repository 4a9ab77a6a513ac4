/* The gradient through a clipped value: dy where low < y < high, else 0 dy, which is NaN if dy is not finite. */

#ifndef REAL
#include "kernels.h"
#define SOURCE "clip_gradient.c"
#include "each_real.h"

const gk_kernel gk_clip_gradient = {"clip_gradient", "y= low()? high()? dy!=", NULL, clip_gradient_float, clip_gradient_double};
#else

GK_CLONES static void NAME(clip_gradient)(const gk_array *a)
{
    const REAL *y = a[0].data;
    const REAL low = a[1].data ? *(const REAL *)a[1].data : 0, high = a[2].data ? *(const REAL *)a[2].data : 0;
    REAL *dy = a[3].data;
    const ptrdiff_t n = a[0].size;
    if (a[1].data && a[2].data) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++)
            dy[i] = dy[i] * (((y[i] > low) & (y[i] < high)) ? (REAL)1 : (REAL)0);
    } else if (a[1].data) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++)
            dy[i] = dy[i] * (y[i] > low ? (REAL)1 : (REAL)0);
    } else if (a[2].data) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++)
            dy[i] = dy[i] * (y[i] < high ? (REAL)1 : (REAL)0);
    }
}
#endif
