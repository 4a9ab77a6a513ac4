/* Gradient descent: p = p - rate g; with momentum v = mu v - rate g, p = p + v, or Nesterov's p = p - rate g + mu v. */

#ifndef REAL
#include "optimizers.h"
#define SOURCE "sgd.c"
#include "each_real.h"

const gk_kernel gk_sgd = {
    "sgd", GK_WEIGHTS "v!?= rate() momentum()? nesterov()?", gk_same_sizes, sgd_float, sgd_double,
};
#else
#include "optimizers_tile.h"

GK_CLONES static void NAME(sgd)(const gk_array *a)
{
    const REAL rate = *(REAL *)a[5].data, mu = a[6].data ? *(REAL *)a[6].data : 0;
    REAL sum[GK_TILE];
    for (ptrdiff_t start = 0; start < a[0].size; start += GK_TILE) {
        const ptrdiff_t n = GK_MIN(GK_TILE, a[0].size - start);
        const REAL *g = NAME(gk_begin)(a, start, n, sum);
        REAL *p = (REAL *)a[0].data + start, *v = a[4].data ? (REAL *)a[4].data + start : NULL;
        if (!v) {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++)
                p[i] = p[i] - g[i] * rate;
        } else if (a[7].data) {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                const REAL t = g[i] * rate, velocity = v[i] * mu - t;
                v[i] = velocity;
                p[i] = p[i] - t + velocity * mu;
            }
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                const REAL velocity = v[i] * mu - g[i] * rate;
                v[i] = velocity;
                p[i] = p[i] + velocity;
            }
        }
    }
}
#endif
