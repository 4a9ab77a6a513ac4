/* Max pooling of planes: plane p has the elements that all windows have in column p, and rows of a window follow each other.
 *
 * planes (P, windows, rows, n) become their maxima y (windows, n). `largest` is the first largest tap, row * P + plane; after
 * NaN it is the last one. The gradient of plane `place[0]` of `place[1]` is dy where `largest` is its tap, else 0. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_conv_pool(const gk_array *a)
{
    const gk_array *x = a, *y = a + 1, *largest = a + 2;
    if (x->ndim != 4 || y->ndim != 2 || x->shape[1] != y->shape[0] || x->shape[3] != y->shape[1])
        return "the planes do not fit the maxima";
    if (largest->data && (largest->ndim != 2 || largest->shape[0] != y->shape[0] || largest->shape[1] != y->shape[1]))
        return "largest needs the shape of y";
    return x->shape[0] < 1 || x->shape[2] < 1 || x->shape[0] * x->shape[2] > 256 ? "a window has 1 to 256 taps" : NULL;
}

static const char *gk_check_conv_pool_gradient(const gk_array *a)
{
    const gk_array *largest = a, *dy = a + 1, *dx = a + 2, *place = a + 3;
    if (dx->ndim != 3 || dy->ndim != 2 || dx->shape[0] != dy->shape[0] || dx->shape[2] != dy->shape[1])
        return "the plane does not fit the maxima";
    if (largest->ndim != 2 || largest->shape[0] != dy->shape[0] || largest->shape[1] != dy->shape[1])
        return "largest needs the shape of dy";
    return place->size != 2 ? "place is the number of the plane and their count" : NULL;
}

/* A statement for k from 0 to n, eight at a time: the last eight may be done twice, so there are no single ones. */
#define GK_EIGHTS(...)                                             \
    if (n >= 8) {                                                  \
        for (ptrdiff_t e = 0; e < n; e += 8) {                     \
            const ptrdiff_t from = GK_MIN(e, n - 8);               \
            GK_SHORT                                               \
            for (int j = 0; j < 8; j++) {                          \
                const ptrdiff_t k = from + j;                      \
                __VA_ARGS__                                        \
            }                                                      \
        }                                                          \
    } else {                                                       \
        for (ptrdiff_t k = 0; k < n; k++)                          \
            __VA_ARGS__                                            \
    }

#define SOURCE "conv_pool.c"
#include "each_real.h"

const gk_kernel gk_conv_pool = {"conv_pool", "planes y! largest?!:B", gk_check_conv_pool, conv_pool_float, conv_pool_double};
const gk_kernel gk_conv_pool_gradient = {
    "conv_pool_gradient", "largest:B dy dx! place:i", gk_check_conv_pool_gradient,
    conv_pool_gradient_float, conv_pool_gradient_double,
};
#else

/* The next tap of a row of maxima. */
GK_INLINE void NAME(take)(const REAL *x, REAL *y, uint8_t *largest, uint8_t number, ptrdiff_t n, const int keeps)
{
    GK_EIGHTS({
        const REAL v = x[k], o = y[k];
        y[k] = GK_MORE(o, v);
        if (keeps)
            largest[k] = (uint8_t)(largest[k] ^ ((number ^ largest[k]) & (0 - (v > o))));
    })
}

GK_INLINE void NAME(conv_pool_of)(const gk_array *a, const int keeps)
{
    const ptrdiff_t planes = a[0].shape[0], windows = a[0].shape[1], rows = a[0].shape[2], all = a[0].shape[3];
    const ptrdiff_t taps = planes * rows, plane = windows * rows * all;
    for (ptrdiff_t w = 0; w < windows; w++) {
        for (ptrdiff_t from = 0; from < all; from += GK_TILE) {
            const ptrdiff_t n = GK_MIN(GK_TILE, all - from);
            const REAL *x = (const REAL *)a[0].data + w * rows * all + from;
            REAL *y = (REAL *)a[1].data + w * all + from;
            uint8_t *largest = keeps ? (uint8_t *)a[2].data + w * all + from : NULL;
            for (ptrdiff_t k = 0; k < n; k++) {
                y[k] = x[k];
                if (keeps)
                    largest[k] = 0;
            }
            for (ptrdiff_t t = 1; t < taps; t++)
                NAME(take)(x + t % planes * plane + t / planes * all, y, largest, (uint8_t)t, n, keeps);
            for (ptrdiff_t k = 0; keeps && k < n; k++)
                largest[k] = y[k] != y[k] ? (uint8_t)(taps - 1) : largest[k];
        }
    }
}

GK_CLONES static void NAME(conv_pool)(const gk_array *a)
{
    if (a[2].data)
        NAME(conv_pool_of)(a, 1);
    else
        NAME(conv_pool_of)(a, 0);
}

GK_CLONES static void NAME(conv_pool_gradient)(const gk_array *a)
{
    const int *place = a[3].data;
    const ptrdiff_t rows = a[2].shape[1], n = a[2].shape[2];
    for (ptrdiff_t w = 0; w < a[2].shape[0]; w++) {
        const uint8_t *largest = (const uint8_t *)a[0].data + w * n;
        const BITS *dy = (const BITS *)a[1].data + w * n;
        for (ptrdiff_t r = 0; r < rows; r++) {
            BITS *dx = (BITS *)a[2].data + (w * rows + r) * n;
            const BITS number = (BITS)(r * place[1] + place[0]);
            GK_EIGHTS({
                dx[k] = dy[k] & (0 - (BITS)(largest[k] == number));
            })
        }
    }
}
#endif
