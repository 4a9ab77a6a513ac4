/* Adam, AdamW and AMSGrad: u = b1 u + g, v = b2 v + g^2, p = p - rate u / (sqrt(v) + epsilon). */

#ifndef REAL
#include "optimizers.h"
#define SOURCE "adam.c"
#include "each_real.h"

const gk_kernel gk_adam = {
    "adam", GK_WEIGHTS "u!= v!= largest!?= rate() beta_1() beta_2() epsilon()", gk_same_sizes, adam_float, adam_double,
};
#else
#include "optimizers_tile.h"

GK_CLONES static void NAME(adam)(const gk_array *a)
{
    const REAL rate = *(REAL *)a[7].data, beta_1 = *(REAL *)a[8].data, beta_2 = *(REAL *)a[9].data;
    const REAL epsilon = *(REAL *)a[10].data;
    REAL sum[GK_TILE];
    for (ptrdiff_t start = 0; start < a[0].size; start += GK_TILE) {
        const ptrdiff_t n = GK_MIN(GK_TILE, a[0].size - start);
        const REAL *g = NAME(gk_begin)(a, start, n, sum);
        REAL *p = (REAL *)a[0].data + start, *u = (REAL *)a[4].data + start, *v = (REAL *)a[5].data + start;
        if (a[6].data) {
            REAL *largest = (REAL *)a[6].data + start;
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                const REAL first = u[i] * beta_1 + g[i], second = v[i] * beta_2 + g[i] * g[i];
                const REAL l = largest[i], most = l >= second || l != l ? l : second;
                u[i] = first;
                v[i] = second;
                largest[i] = most;
                p[i] = p[i] - first / (SQRT(most) + epsilon) * rate;
            }
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++) {
                const REAL first = u[i] * beta_1 + g[i], second = v[i] * beta_2 + g[i] * g[i];
                u[i] = first;
                v[i] = second;
                p[i] = p[i] - first / (SQRT(second) + epsilon) * rate;
            }
        }
    }
}
#endif
