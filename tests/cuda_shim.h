/* What of CUDA the kernels of trainer/model/step.cu use, on a CPU: every thread of a block is a fiber.
 *
 * Blocks run one after another, the warps of a block each as far as its barriers let it, in the order that a launch
 * asks for: forward, in reverse or as chance has it. What works only because threads happen to run in step, where a
 * barrier is missing, differs between the orders. Shared memory is NaN before each block, and what lies behind it is
 * looked at afterwards.
 */
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(threads, blocks)

using std::exp;
using std::fabs;
using std::log;
using std::log1p;
using std::min;
using std::sqrt;

struct dim3 {
  unsigned x, y, z;
};
static dim3 blockIdx, blockDim, gridDim;

namespace shim {

enum Waits { FOR_NOTHING, FOR_WARP, FOR_BLOCK };
enum Outcome { DONE, BARRIER_NOT_MET, SHARED_MEMORY_OVERRUN, TOO_MUCH_SHARED_MEMORY };
enum { WARP = 32, STACK = 65536, BEHIND = 1024 };  // bytes that are looked at behind shared memory

struct Thread {
  dim3 index;
  Waits waits;
  bool done;
  double shown[2];    // to the other lanes of a shuffle, and of the one before it
  bool turn;          // which of the two is shown now
  jmp_buf at;         // where it goes on
  ucontext_t begins;  // on a stack of its own
  std::vector<char> stack;
};

static std::vector<Thread *> threads;  // kept from launch to launch: each goes on with the next block
static unsigned current;
static jmp_buf scheduler;
static std::function<void()> kernel;

static void leave() {
  if (_setjmp(threads[current]->at) == 0) _longjmp(scheduler, 1);
}

static void wait(Waits what) {
  threads[current]->waits = what;
  leave();
}

static void live() {
  for (;;) {
    kernel();
    threads[current]->done = true;
    leave();
  }
}

static void __attribute__((noinline)) enter() {
  if (_setjmp(scheduler) == 0) _longjmp(threads[current]->at, 1);
}

static void __attribute__((noinline)) enter_first() {
  if (_setjmp(scheduler) == 0) setcontext(&threads[current]->begins);
}

static void add_thread() {
  Thread *made = new Thread();
  made->stack.resize(STACK);
  getcontext(&made->begins);
  made->begins.uc_stack.ss_sp = made->stack.data();
  made->begins.uc_stack.ss_size = made->stack.size();
  made->begins.uc_link = nullptr;
  makecontext(&made->begins, live, 0);
  threads.push_back(made);
  const std::function<void()> given = kernel;
  kernel = [] {};  // its first life is empty
  current = unsigned(threads.size()) - 1;
  enter_first();
  kernel = given;
}

/* Let those go on of whom all that still run wait for the same; of a warp all must run. */
static bool release(unsigned first, unsigned last, Waits what) {
  bool waiting = false;
  for (unsigned t = first; t < last; t++) {
    if (threads[t]->done ? what == FOR_WARP : threads[t]->waits != what) return false;
    waiting |= !threads[t]->done;
  }
  for (unsigned t = first; t < last; t++) threads[t]->waits = FOR_NOTHING;
  return waiting;
}

static void put_in_order(std::vector<unsigned> &places, int order, std::mt19937 &draw) {
  if (order == 1) std::sort(places.rbegin(), places.rend());
  if (order > 1) std::shuffle(places.begin(), places.end(), draw);
}

/* Run each thread of a warp that can go on to where it waits; false: none can. */
static bool run_warp(unsigned first, unsigned last, int order, std::mt19937 &draw) {
  static std::vector<unsigned> places;
  places.clear();
  for (unsigned t = first; t < last; t++)
    if (!threads[t]->done && threads[t]->waits == FOR_NOTHING) places.push_back(t);
  put_in_order(places, order, draw);
  for (unsigned t : places) {
    current = t;
    enter();
  }
  return !places.empty();
}

/* One block; false: some of its threads wait for what never comes. A warp goes on for as long as it need not wait for
 * its block, or as chance has it, so that no warp is kept in step by another. */
static bool run_block(unsigned count, int order, std::mt19937 &draw) {
  for (unsigned t = 0; t < count; t++) {
    threads[t]->index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    threads[t]->done = false;
    threads[t]->waits = FOR_NOTHING;
    threads[t]->turn = false;
  }
  std::vector<unsigned> warps((count + WARP - 1) / WARP);
  std::iota(warps.begin(), warps.end(), 0u);
  for (;;) {
    put_in_order(warps, order, draw);
    bool ran = false;
    for (unsigned w : warps) {
      const unsigned first = w * WARP, last = std::min(first + WARP, count);
      ran = run_warp(first, last, order, draw) || release(first, last, FOR_WARP);
      if (ran) break;
    }
    if (!ran && !release(0, count, FOR_BLOCK))
      return std::all_of(threads.begin(), threads.begin() + count, [](Thread *one) { return one->done; });
  }
}

/* All blocks of a launch; `shared` and `room`: bytes that the kernel asks for, and that there are. */
static Outcome launch(std::function<void()> body, const unsigned *grid, const unsigned *block, size_t shared, int order,
                      void *memory, size_t room) {
  if (shared > room) return TOO_MUCH_SHARED_MEMORY;
  kernel = body;
  gridDim = {grid[0], grid[1], 1};
  blockDim = {block[0], block[1], block[2]};
  const unsigned count = block[0] * block[1] * block[2];
  while (threads.size() < count) add_thread();
  std::mt19937 draw(order);
  std::vector<unsigned> blocks(grid[0] * grid[1]);
  std::iota(blocks.begin(), blocks.end(), 0u);
  put_in_order(blocks, order, draw);
  unsigned char *bytes = static_cast<unsigned char *>(memory);
  const size_t end = std::min(room, shared + BEHIND);
  for (unsigned b : blocks) {
    blockIdx = {b % grid[0], b / grid[0], 0};
    memset(bytes, 0xff, end);  // NaN
    if (!run_block(count, order, draw)) {
      threads.clear();  // those that wait would wake up in the next launch
      return BARRIER_NOT_MET;
    }
    if (!std::all_of(bytes + shared, bytes + end, [](unsigned char byte) { return byte == 0xff; }))
      return SHARED_MEMORY_OVERRUN;
  }
  return DONE;
}

}  // namespace shim

#define threadIdx (shim::threads[shim::current]->index)

static inline void __syncthreads() { shim::wait(shim::FOR_BLOCK); }

/* Of whole warps only, as the kernels have them. A lane may be one shuffle ahead of another, not two. */
template <class T> static inline T __shfl_xor_sync(unsigned, T mine, int mask) {
  shim::Thread *own = shim::threads[shim::current], *other = shim::threads[shim::current ^ unsigned(mask)];
  const bool turn = own->turn = !own->turn;
  memcpy(&own->shown[turn], &mine, sizeof mine);
  shim::wait(shim::FOR_WARP);
  T found;
  memcpy(&found, &other->shown[turn], sizeof found);
  return found;
}
