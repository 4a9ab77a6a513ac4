/* RMSprop: v = rho v + g^2, p = p - rate g / sqrt(v + epsilon); centered: v - share mean^2; momentum: u = mu u + step. */

#ifndef REAL
#include "optimizers.h"
#define SOURCE "rmsprop.c"
#include "each_real.h"

const gk_kernel gk_rmsprop = {
    "rmsprop",
    GK_WEIGHTS "v!= mean!?= u!?= rate() rho() epsilon() share()? momentum()?",
    gk_same_sizes,
    rmsprop_float,
    rmsprop_double,
};
#else
#include "optimizers_tile.h"

GK_CLONES static void NAME(rmsprop)(const gk_array *a)
{
    const REAL rate = *(REAL *)a[7].data, rho = *(REAL *)a[8].data, epsilon = *(REAL *)a[9].data;
    const REAL share = a[10].data ? *(REAL *)a[10].data : 0, mu = a[11].data ? *(REAL *)a[11].data : 0;
    REAL sum[GK_TILE], step[GK_TILE];
    for (ptrdiff_t start = 0; start < a[0].size; start += GK_TILE) {
        const ptrdiff_t n = GK_MIN(GK_TILE, a[0].size - start);
        const REAL *g = NAME(gk_begin)(a, start, n, sum);
        REAL *p = (REAL *)a[0].data + start, *v = (REAL *)a[4].data + start;
        if (a[5].data) {
            REAL *mean = (REAL *)a[5].data + start;
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                const REAL square = v[i] * rho + g[i] * g[i], first = mean[i] * rho + g[i];
                v[i] = square;
                mean[i] = first;
                step[i] = g[i] / SQRT(square - first * first * share + epsilon) * rate;
            }
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                const REAL square = v[i] * rho + g[i] * g[i];
                v[i] = square;
                step[i] = g[i] / SQRT(square + epsilon) * rate;
            }
        }
        if (a[6].data) {
            REAL *u = (REAL *)a[6].data + start;
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                u[i] = u[i] * mu + step[i];
                p[i] = p[i] - u[i];
            }
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++)
                p[i] = p[i] - step[i];
        }
    }
}
#endif
