/* What a kernel's file needs. Kernels know arrays, not Python. */

#ifndef GK_KERNELS_H
#define GK_KERNELS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "This processor computes with more digits than float has: results would differ from NumPy's."
#endif

/* Raise it if the operands or the results of a kernel change; graphspec/graph/kernels/compiled.py names the one it knows. */
#define GK_ABI 3

/* An operand. `data` is NULL if an optional operand is not there. */
typedef struct {
    void *data;
    ptrdiff_t size;         /* elements */
    int ndim;
    const ptrdiff_t *shape; /* ndim numbers */
    const ptrdiff_t *strides; /* bytes */
    ptrdiff_t item;         /* bytes of an element */
} gk_array;

typedef void (*gk_run)(const gk_array *);

/* A kernel, and what its operands must be. `operands` are names with marks:
 *   !    is written (else only read)
 *   ?    may be absent
 *   ()   has one element
 *   =    may have any order of axes in memory, if all operands with this mark have the same shape and order and no gaps
 *   ~    may have any strides
 *   :t   has the type t of the struct module, such as `i` or `q`, not the kernel's float type; `l` serves for the one of its size
 * Operands without = and ~ are C-contiguous. `check` returns NULL, or what is wrong with the shapes.
 * `serves`, if there is one, says whether the kernel has an answer for these shapes and strides.
 */
typedef struct {
    const char *name;
    const char *operands;
    const char *(*check)(const gk_array *);
    gk_run floats, doubles;
    int (*serves)(const gk_array *);
} gk_kernel;

/* Functions of NumPy's BLAS, each for floats and doubles; `wide`: its integers have 64 bits, else 32. */
typedef struct {
    int wide;
    void *gemm[2], *gemv[2], *dot[2];
} gk_blas;

/* The BLAS of products; NULL until `use_blas`. */
extern const gk_blas *gk_library;

/* The inner loop of a ufunc of NumPy, and its data. */
typedef struct {
    void (*function)(char **, const ptrdiff_t *, const ptrdiff_t *, void *);
    void *data;
} gk_loop_of;

/* tanh of floats and of doubles; no functions until `use_tanh`. */
extern gk_loop_of gk_tanh[2];

/* Versions of a function for several instruction sets, of which the loader chooses one: ELF with glibc, x86-64. All give
 * the same bits, since + - * / and sqrt are rounded correctly everywhere. */
#if defined(GK_CLONES) /* given on the command line: one version, for the compiler's target */
#elif defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && \
    (!defined(__clang__) || __clang_major__ >= 14)
#define GK_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define GK_HAS_CLONES
#else
#define GK_CLONES
#endif

/* Part of a kernel in a function of its own: it becomes part of every version. */
#if defined(__GNUC__)
#define GK_INLINE static inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define GK_INLINE static __forceinline
#else
#define GK_INLINE static inline
#endif

/* The larger of the maximum so far, o, and the next number, v, as NumPy's maximum has it. NaN stays. Of 0 and -0 that is the
   next one on x86-64, and 0 on ARM64. */
#if defined(__aarch64__) || defined(_M_ARM64)
#define GK_MORE(o, v) ((((o) > (v)) | ((o) != (o)) | (((o) == (v)) & !signbit(o))) ? (o) : (v))
#else
#define GK_MORE(o, v) ((((o) > (v)) | ((o) != (o))) ? (o) : (v))
#endif

/* Before a loop whose iterations are independent, even where an operand is written in place. */
#if defined(__clang__)
#define GK_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define GK_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define GK_INDEPENDENT __pragma(loop(ivdep))
#else
#define GK_INDEPENDENT
#endif

/* The same before a loop of few iterations, whose number is known: gcc would write them out one by one, not as vectors. */
#if defined(__GNUC__) && !defined(__clang__)
#define GK_SHORT _Pragma("GCC ivdep") _Pragma("GCC unroll 1")
#else
#define GK_SHORT GK_INDEPENDENT
#endif

/* Elements that several loops of a kernel process in turn: they stay in the first-level cache. */
#define GK_TILE 1024

#define GK_MIN(a, b) ((a) < (b) ? (a) : (b))

#endif
