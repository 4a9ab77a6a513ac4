/* Adagrad: sum = sum + g^2, p = p - rate g / sqrt(sum + epsilon). */

#ifndef REAL
#include "optimizers.h"
#define SOURCE "adagrad.c"
#include "each_real.h"

const gk_kernel gk_adagrad = {
    "adagrad", GK_WEIGHTS "squares!= rate() epsilon()", gk_same_sizes, adagrad_float, adagrad_double,
};
#else
#include "optimizers_tile.h"

GK_CLONES static void NAME(adagrad)(const gk_array *a)
{
    const REAL rate = *(REAL *)a[5].data, epsilon = *(REAL *)a[6].data;
    REAL sum[GK_TILE];
    for (ptrdiff_t start = 0; start < a[0].size; start += GK_TILE) {
        const ptrdiff_t n = GK_MIN(GK_TILE, a[0].size - start);
        const REAL *g = NAME(gk_begin)(a, start, n, sum);
        REAL *p = (REAL *)a[0].data + start, *squares = (REAL *)a[4].data + start;
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) {
            const REAL square = squares[i] + g[i] * g[i];
            squares[i] = square;
            p[i] = p[i] - g[i] / SQRT(square + epsilon) * rate;
        }
    }
}
#endif
