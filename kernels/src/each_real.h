/* Include the file SOURCE twice, with REAL float and double; NAME(f) is f_float and f_double. */

#define REAL float
#define BITS uint32_t
#define NAME(f) f##_float
#define SQRT sqrtf
#define FMA fmaf
#include SOURCE
#undef REAL
#undef BITS
#undef NAME
#undef SQRT
#undef FMA

#define REAL double
#define BITS uint64_t
#define NAME(f) f##_double
#define SQRT sqrt
#define FMA fma
#include SOURCE
