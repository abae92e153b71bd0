/* Products too narrow for a matrix library: n = C·K of at most 16 columns.
 *
 * A file of its own because here, and only here, a product and a sum are contracted to one rounding
 * (-ffp-contract=fast): each column's sums are made in the same order whatever stands in the others.
 */
#include <string.h>

#include "step.h"
#if defined(__AVX512F__)
#define BYTES 64
#define BLOCK 8 /* rows, or features, of 16 columns that are in registers together */
#elif defined(__AVX__)
#define BYTES 32
#define BLOCK 4
#else
#define BYTES 16
#define BLOCK 2
#endif

#define real float
#define BITS f32
#include "products_body.h"
#undef real
#undef BITS
#define real double
#define BITS f64
#include "products_body.h"
#undef real
#undef BITS
#include "gram_body.h"
