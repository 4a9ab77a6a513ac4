/* GELU of float32 in one pass, and SiLU around NumPy's tanh. */

#ifndef REAL
#include "exp2.h"
#include "kernels.h"

/* The normal distribution of -|x| is exp(-x^2 / 2) t P(t) with t = 1 / (1 + |x| / 4), the form of Abramowitz and
 * Stegun, 7.1.26; P is fitted to an error below 1e-8. `density` is exp(-x^2 / 2). */
GK_INLINE float gk_normal(float x, float *density)
{
    const float t = 1 / (1 + 0.25f * fabsf(x)), e = gk_exp2(x * x * -0.721347520f);
    const float high = ((-0.0896629282f * t + 0.331293587f) * t - 0.244288848f) * t + 0.254725979f;
    const float p = ((high * t + 0.0419749234f) * t + 0.106305235f) * t + 0.0996520513f, below = e * (t * p);
    *density = e;
    return x < 0 ? below : 1 - below;
}

/* y = x Phi(x); slope = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi). */
GK_CLONES static void gelu_float(const gk_array *a)
{
    const float *x = a[0].data;
    float *y = a[1].data, *slope = a[2].data;
    const ptrdiff_t count = a[0].size;
    if (slope) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++) {
            float density;
            const float value = x[i], g = gk_normal(value, &density);
            slope[i] = density * value * 0.398942280f + g;
            y[i] = value * g;
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++) {
            float density;
            y[i] = x[i] * gk_normal(x[i], &density);
        }
    }
}

/* y = x g with g = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3); slope = g + 2 g (1 - g) x du/dx. Beyond
 * x^2 = 100 g is 0 or 1. */
GK_CLONES static void gelu_by_tanh_float(const gk_array *a)
{
    const float *x = a[0].data;
    float *y = a[1].data, *slope = a[2].data;
    const ptrdiff_t count = a[0].size;
    const float cubic = 0.0356774081f, linear = 0.797884561f, factor = -2.88539008f;
    if (slope) {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++) {
            const float value = x[i], square = value * value, z = square > 100 ? 100 : square;
            const float e = gk_exp2(fabsf(value) * (z * cubic + linear) * factor), s = 1 / (1 + e);
            const float g = value < 0 ? e * s : s;
            slope[i] = e * s * s * value * (z * (6 * cubic) + 2 * linear) + g;
            y[i] = value * g;
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t i = 0; i < count; i++) {
            const float value = x[i], square = value * value, z = square > 100 ? 100 : square;
            const float e = gk_exp2(fabsf(value) * (z * cubic + linear) * factor), s = 1 / (1 + e);
            y[i] = value * (value < 0 ? e * s : s);
        }
    }
}

static int serves_floats(const gk_array *a)
{
    return a[0].item == sizeof(float);
}

#define SOURCE "gated.c"
#include "each_real.h"

const gk_kernel gk_gelu = {"gelu", "x= y!= slope!?=", NULL, gelu_float, NULL, serves_floats};
const gk_kernel gk_gelu_by_tanh = {"gelu_by_tanh", "x= y!= slope!?=", NULL, gelu_by_tanh_float, NULL, serves_floats};
const gk_kernel gk_silu = {"silu", "x= tanh= half() alpha()? y!= slope!?=", NULL, silu_float, silu_double};
#else

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
