/* 2^y for y <= 0; 0 below -125. Only + - * and moved bits: the same on every processor. */

#ifndef GK_EXP2_H
#define GK_EXP2_H

#include <string.h>

#include "kernels.h"

GK_INLINE float gk_exp2(float y)
{
    const float least = y < -125.0f ? -125.0f : y, whole = least + 12582912.0f, r = least - (whole - 12582912.0f);
    uint32_t bits;
    float power;
    memcpy(&bits, &whole, sizeof(bits));
    bits = (bits + 127) << 23;
    memcpy(&power, &bits, sizeof(power));
    const float high = (1.53533657e-4f * r + 1.33988809e-3f) * r + 9.61843740e-3f;
    const float sum = ((high * r + 5.55033245e-2f) * r + 2.40226479e-1f) * r + 6.93147203e-1f;
    return y < -125.0f ? 0 : (sum * r + 1) * power;
}

#endif
