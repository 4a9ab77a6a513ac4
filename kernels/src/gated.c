/* GELU and SiLU around the functions of NumPy, exp and tanh. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_normal_argument(const gk_array *a)
{
    return a[1].size ? NULL : "needs coefficients";
}

#define SOURCE "gated.c"
#include "each_real.h"

const gk_kernel gk_half_tanh = {"half_tanh", "y!= half()", NULL, half_tanh_float, half_tanh_double};
const gk_kernel gk_normal_argument = {
    "normal_argument", "x= coefficients most() minus_half() argument!= exponent!?=", gk_check_normal_argument,
    normal_argument_float, normal_argument_double,
};
const gk_kernel gk_gelu = {"gelu", "x= tanh= half() scale() y!= slope!?=", NULL, gelu_float, gelu_double};
const gk_kernel gk_gelu_by_tanh = {
    "gelu_by_tanh", "x= tanh= half() most() cubic() linear() y!= slope!=", NULL, gelu_by_tanh_float, gelu_by_tanh_double,
};
const gk_kernel gk_silu = {"silu", "x= tanh= half() alpha()? y!= slope!?=", NULL, silu_float, silu_double};
#else

/* y = y / 2 + 1 / 2, the sigmoid of a hyperbolic tangent. */
GK_CLONES static void NAME(half_tanh)(const gk_array *a)
{
    const REAL half = *(REAL *)a[1].data;
    const ptrdiff_t count = a[0].size;
    REAL *y = a[0].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++)
        y[i] = y[i] * half + half;
}

/* x P(min(x^2, most)) of seven coefficients, in registers. */
GK_INLINE REAL NAME(gk_seven)(REAL x, REAL square, REAL most, const REAL *c)
{
    const REAL z = square > most ? most : square;
    return x * ((((((z * c[0] + c[1]) * z + c[2]) * z + c[3]) * z + c[4]) * z + c[5]) * z + c[6]);
}

/* argument = x P(min(x^2, most)), with the highest power first; exponent = -x^2 / 2. */
GK_CLONES static void NAME(normal_argument)(const gk_array *a)
{
    if (a[1].size == 7) {
        const REAL *x = a[0].data, *given = a[1].data, most = *(REAL *)a[2].data, minus_half = *(REAL *)a[3].data;
        const REAL c[7] = {given[0], given[1], given[2], given[3], given[4], given[5], given[6]};
        const ptrdiff_t count = a[0].size;
        REAL *argument = a[4].data, *exponent = a[5].data;
        if (exponent) {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < count; i++) {
                const REAL value = x[i], square = value * value;
                exponent[i] = square * minus_half;
                argument[i] = NAME(gk_seven)(value, square, most, c);
            }
        } else {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < count; i++)
                argument[i] = NAME(gk_seven)(x[i], x[i] * x[i], most, c);
        }
        return;
    }
    const REAL *x = a[0].data, *coefficients = a[1].data, most = *(REAL *)a[2].data, minus_half = *(REAL *)a[3].data;
    const ptrdiff_t terms = a[1].size;
    REAL *argument = a[4].data, *exponent = a[5].data;
    REAL square[GK_TILE], sum[GK_TILE];
    for (ptrdiff_t start = 0; start < a[0].size; start += GK_TILE) {
        const ptrdiff_t n = GK_MIN(GK_TILE, a[0].size - start);
        const REAL first = coefficients[0];
        if (exponent) {
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++)
                exponent[start + i] = x[start + i] * x[start + i] * minus_half;
        }
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++) {
            const REAL s = x[start + i] * x[start + i], z = s > most ? most : s;
            square[i] = z;
            sum[i] = z * first;
        }
        ptrdiff_t k = 1;
        for (; k + 2 < terms; k += 2) {
            const REAL c = coefficients[k], d = coefficients[k + 1];
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++)
                sum[i] = ((sum[i] + c) * square[i] + d) * square[i];
        }
        for (; k + 1 < terms; k++) {
            const REAL c = coefficients[k];
            GK_INDEPENDENT
            for (ptrdiff_t i = 0; i < n; i++)
                sum[i] = (sum[i] + c) * square[i];
        }
        const REAL last = terms > 1 ? coefficients[terms - 1] : 0;
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < n; i++)
            argument[start + i] = x[start + i] * (sum[i] + last);
    }
}

/* g = tanh / 2 + 1 / 2; y = x g; slope, which contains exp(-x^2 / 2), = slope x scale + g. */
GK_CLONES static void NAME(gelu)(const gk_array *a)
{
    const REAL *x = a[0].data, *t = a[1].data, half = *(REAL *)a[2].data, scale = *(REAL *)a[3].data;
    const ptrdiff_t count = a[0].size;
    REAL *y = a[4].data, *slope = a[5].data;
    if (slope) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++) {
            const REAL g = t[i] * half + half, value = x[i];
            slope[i] = slope[i] * value * scale + g;
            y[i] = value * g;
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++)
            y[i] = x[i] * (t[i] * half + half);
    }
}

/* g = tanh / 2 + 1 / 2; y = x g; slope = (g - g^2) x (min(x^2, most) cubic + linear) + g. */
GK_CLONES static void NAME(gelu_by_tanh)(const gk_array *a)
{
    const REAL *x = a[0].data, *t = a[1].data, half = *(REAL *)a[2].data, most = *(REAL *)a[3].data;
    const REAL cubic = *(REAL *)a[4].data, linear = *(REAL *)a[5].data;
    const ptrdiff_t count = a[0].size;
    REAL *y = a[6].data, *slope = a[7].data;
    GK_INDEPENDENT
    for (ptrdiff_t i = 0; i < count; i++) {
        const REAL g = t[i] * half + half, value = x[i], square = value * value, z = square > most ? most : square;
        slope[i] = (g - g * g) * value * (z * cubic + linear) + g;
        y[i] = value * g;
    }
}

/* g = tanh / 2 + 1 / 2; y = x g; slope = (y - y g) alpha + g. */
GK_CLONES static void NAME(silu)(const gk_array *a)
{
    const REAL *x = a[0].data, *t = a[1].data, half = *(REAL *)a[2].data, alpha = a[3].data ? *(REAL *)a[3].data : 1;
    const ptrdiff_t count = a[0].size;
    REAL *y = a[4].data, *slope = a[5].data;
    if (slope) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++) {
            const REAL g = t[i] * half + half, value = x[i] * g;
            y[i] = value;
            slope[i] = (value - value * g) * alpha + g;
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++)
            y[i] = x[i] * (t[i] * half + half);
    }
}
#endif
