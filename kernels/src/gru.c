/* The gates of a GRU cell, q, r, z and the candidate, between the products with matrices and the functions of NumPy. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_gru_gates(const gk_array *a)
{
    return a[0].size % 4 ? "needs four blocks" : NULL;
}

static const char *gk_check_gru_state(const gk_array *a)
{
    return a[0].size != 4 * a[1].size || a[1].size != a[2].size ? "gates do not fit the state" : NULL;
}

static const char *gk_check_gru_factors(const gk_array *a)
{
    if (a[0].ndim != 3 || a[1].ndim != 3 || a[2].ndim != 3)
        return "needs the steps as an axis";
    if ((a[1].shape[2] > 1 && a[1].strides[2] != a[0].strides[2]) || (a[1].shape[1] > 1 && a[1].strides[1] != a[0].strides[1]))
        return "needs h without gaps within a step";
    return a[0].shape[0] != a[1].shape[0] || a[0].shape[0] != a[2].shape[0] || a[0].shape[1] % 4 ||
                   a[1].shape[1] * 4 != a[0].shape[1] || a[2].shape[1] * 4 != a[0].shape[1] * 5 ||
                   a[1].shape[2] != a[0].shape[2] || a[2].shape[2] != a[0].shape[2]
               ? "gates and factors differ in size"
               : NULL;
}

#define SOURCE "gru.c"
#include "each_real.h"

const gk_kernel gk_gru_gates = {"gru_gates", "gates! half()", gk_check_gru_gates, gru_gates_float, gru_gates_double};
const gk_kernel gk_gru_state = {"gru_state", "gates h following!", gk_check_gru_state, gru_state_float, gru_state_double};
const gk_kernel gk_gru_factors = {
    "gru_factors", "gates h~ factors!", gk_check_gru_factors, gru_factors_float, gru_factors_double,
};
#else

/* r and z become s / 2 + 1 / 2, and the candidate's argument gets r q. */
GK_CLONES static void NAME(gru_gates)(const gk_array *a)
{
    const ptrdiff_t n = a[0].size / 4;
    const REAL half = *(REAL *)a[1].data;
    REAL *q = a[0].data, *r = q + n, *z = r + n, *candidate = z + n;
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < n; k++) {
        const REAL reset = r[k] * half + half;
        r[k] = reset;
        z[k] = z[k] * half + half;
        candidate[k] = candidate[k] + reset * q[k];
    }
}

/* next = candidate + z (h - candidate). */
GK_CLONES static void NAME(gru_state)(const gk_array *a)
{
    const ptrdiff_t n = a[1].size;
    const REAL *z = (const REAL *)a[0].data + 2 * n, *candidate = z + n, *h = a[1].data;
    REAL *next = a[2].data;
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < n; k++)
        next[k] = candidate[k] + z[k] * (h[k] - candidate[k]);
}

/* What gradients are multiplied with: of q, r, z and the candidate's argument by dh, and of h directly. */
GK_CLONES static void NAME(gru_factors)(const gk_array *a)
{
    const ptrdiff_t steps = a[0].shape[0], n = a[1].shape[1] * a[1].shape[2];
    for (ptrdiff_t s = 0; s < steps; s++) {
        const REAL *q = (const REAL *)a[0].data + 4 * s * n, *r = q + n, *z = r + n, *c = z + n;
        const REAL *h = (const REAL *)((const char *)a[1].data + s * a[1].strides[0]);
        REAL *d = (REAL *)a[2].data + 5 * s * n;
        GK_INDEPENDENT /* two loops, since blocks a power of two apart compete for the same lines of the cache */
        for (ptrdiff_t k = 0; k < n; k++) {
            d[k + 2 * n] = z[k] * (1 - z[k]) * (h[k] - c[k]);
            d[k + 3 * n] = (1 - c[k] * c[k]) * (1 - z[k]);
            d[k + 4 * n] = z[k];
        }
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < n; k++) {
            const REAL of_candidate = d[k + 3 * n];
            d[k] = of_candidate * r[k];
            d[k + n] = r[k] * (1 - r[k]) * q[k] * of_candidate;
        }
    }
}
#endif
