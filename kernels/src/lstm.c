/* The gates of an LSTM cell, o, i, f and g, between the products with matrices and the functions of NumPy. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_lstm_state(const gk_array *a)
{
    return a[0].size != 5 * a[1].size ? "gates do not fit the state" : NULL;
}

static const char *gk_check_lstm_factors(const gk_array *a)
{
    if (a[0].ndim != 3 || a[1].ndim != 3 || a[2].ndim != 3)
        return "needs the steps as an axis";
    const ptrdiff_t steps = a[0].shape[0], size = a[1].shape[1] * a[1].shape[2];
    return a[1].shape[0] != steps || a[2].shape[0] != steps || a[0].size != 5 * steps * size ||
                   a[2].size != 6 * steps * size
               ? "gates and factors differ in size"
               : NULL;
}

static const char *gk_check_lstm_back(const gk_array *a)
{
    const ptrdiff_t size = a[1].size;
    return a[0].size != 6 * size || a[2].size != size || a[3].size != size || (a[4].data && a[4].size != size)
               ? "factors and gradients differ in size"
               : NULL;
}

#define SOURCE "lstm.c"
#include "each_real.h"

const gk_kernel gk_lstm_state = {
    "lstm_state", "gates! c! half()?", gk_check_lstm_state, lstm_state_float, lstm_state_double,
};
const gk_kernel gk_lstm_factors = {
    "lstm_factors", "gates u factors!", gk_check_lstm_factors, lstm_factors_float, lstm_factors_double,
};
const gk_kernel gk_lstm_back = {
    "lstm_back", "factors! dh later dc! source?", gk_check_lstm_back, lstm_back_float, lstm_back_double,
};
#else

/* c = i g + f c', where gates are o, i, f, g and the state c' before; with half, o, i and f are first s / 2 + 1 / 2. */
GK_CLONES static void NAME(lstm_state)(const gk_array *a)
{
    const ptrdiff_t n = a[1].size;
    REAL *o = a[0].data, *i = o + n, *f = i + n, *g = f + n, *before = g + n, *c = a[1].data;
    if (!a[2].data) {
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++)
            c[k] = i[k] * g[k] + f[k] * before[k];
        return;
    }
    const REAL half = *(REAL *)a[2].data;
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < n; k++) {
        const REAL in = i[k] * half + half, forget = f[k] * half + half;
        o[k] = o[k] * half + half;
        i[k] = in;
        f[k] = forget;
        c[k] = in * g[k] + forget * before[k];
    }
}

/* What gradients are multiplied with: of c by dh, of o by dh, and of i, f, g and c' by dc; u = tanh(c). */
GK_CLONES static void NAME(lstm_factors)(const gk_array *a)
{
    const ptrdiff_t steps = a[0].shape[0], n = a[1].shape[1] * a[1].shape[2];
    for (ptrdiff_t s = 0; s < steps; s++) {
        const REAL *o = (const REAL *)a[0].data + 5 * s * n, *i = o + n, *f = i + n, *g = f + n, *before = g + n;
        const REAL *u = (const REAL *)a[1].data + s * n;
        REAL *d = (REAL *)a[2].data + 6 * s * n;
        GK_INDEPENDENT /* three loops, since blocks a power of two apart compete for the same lines of the cache */
        for (ptrdiff_t k = 0; k < n; k++) {
            d[k] = (1 - u[k] * u[k]) * o[k];
            d[k + n] = o[k] * (1 - o[k]) * u[k];
        }
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++) {
            d[k + 2 * n] = i[k] * (1 - i[k]) * g[k];
            d[k + 4 * n] = (1 - g[k] * g[k]) * i[k];
        }
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++) {
            d[k + 3 * n] = f[k] * (1 - f[k]) * before[k];
            d[k + 5 * n] = f[k];
        }
    }
}

/* factors[:2] *= dh; dc = later + factors[0] (+ source); factors[2:] *= dc. */
GK_CLONES static void NAME(lstm_back)(const gk_array *a)
{
    const ptrdiff_t n = a[1].size;
    REAL *d = a[0].data, *dc = a[3].data;
    const REAL *dh = a[1].data, *later = a[2].data, *source = a[4].data;
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < n; k++) {
        const REAL first = d[k] * dh[k];
        d[k] = first;
        d[k + n] = d[k + n] * dh[k];
        dc[k] = later[k] + first;
    }
    if (source) {
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++)
            dc[k] = dc[k] + source[k];
    }
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < n; k++) {
        const REAL c = dc[k];
        d[k + 2 * n] = d[k + 2 * n] * c;
        d[k + 3 * n] = d[k + 3 * n] * c;
        d[k + 4 * n] = d[k + 4 * n] * c;
        d[k + 5 * n] = d[k + 5 * n] * c;
    }
}
#endif
