/* cuBLAS for the double of CuPy: the functions that trainer/machine/cublas.py calls, each by its C signature, which hand
 * on to Python (tests/double_streams.py). */
#include <stddef.h>

struct heard {
  int (*create)(void **);
  int (*destroy)(void *);
  int (*set_stream)(void *, void *);
  int (*set_workspace)(void *, void *, size_t);
  int (*gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int, const void *,
              void *, int, int, int, int);
} heard;

int cublasCreate_v2(void **handle) { return heard.create(handle); }
int cublasDestroy_v2(void *handle) { return heard.destroy(handle); }
int cublasSetStream_v2(void *handle, void *stream) { return heard.set_stream(handle, stream); }
int cublasSetWorkspace_v2(void *handle, void *room, size_t bytes) { return heard.set_workspace(handle, room, bytes); }
int cublasGemmEx(void *handle, int of_a, int of_b, int m, int n, int k, const void *alpha, const void *a, int type_a,
                 int step_a, const void *b, int type_b, int step_b, const void *beta, void *c, int type_c, int step_c,
                 int compute, int algorithm) {
  return heard.gemm(handle, of_a, of_b, m, n, k, alpha, a, type_a, step_a, b, type_b, step_b, beta, c, type_c, step_c,
                    compute, algorithm);
}
