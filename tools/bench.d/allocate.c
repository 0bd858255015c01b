/*
 * For tools/bench: nanoseconds a malloc/free pair of 64 bytes, on a number of threads; each thread its own count.
 * Prints the median over the threads.
 *
 *   allocate THREADS PAIRS [sampled]
 *
 * sampled: says its PID first and measures only once a heap profile of it is under way; fails if it has ended meanwhile.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
static long pairs;
static double result[THREADS_MAX];
static pthread_barrier_t barrier;

static double now_ns(void) {
  /* The thread's own processor time: with more threads than processors the wall clock would measure the scheduler. */
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* A function of its own, so that callgrind can count in it alone. */
__attribute__((noinline)) void allocate_and_free(long count) {
  for (long i = 0; i < count; i++) {
    void *volatile block = malloc(64);
    free(block);
  }
}

static void *work(void *number) {
  void (*volatile warm_up)(long) = allocate_and_free;
  warm_up(10000);
  pthread_barrier_wait(&barrier);
  double start = now_ns();
  allocate_and_free(pairs);
  result[(long)number] = (now_ns() - start) / (double)pairs;
  return NULL;
}

static bool is_profiled(void) {
  static char maps[1 << 20];
  size_t length = 0;
  int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  for (ssize_t more; file >= 0 && (more = read(file, maps + length, sizeof maps - 1 - length)) > 0; length += (size_t)more)
    ;
  close(file);
  maps[length] = 0;
  return strstr(maps, "mlos-heap") != NULL;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int threads = argc > 2 ? atoi(argv[1]) : 0;
  bool sampled = argc > 3 && strcmp(argv[3], "sampled") == 0;
  pthread_t handles[THREADS_MAX];
  if (threads < 1 || threads > THREADS_MAX)
    return 1;
  pairs = atol(argv[2]);
  if (sampled) {
    printf("%d\n", (int)getpid());
    fflush(stdout);
    while (!is_profiled())
      allocate_and_free(100000);
  }
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  for (long i = 0; i < threads; i++)
    pthread_create(&handles[i], NULL, work, (void *)i);
  for (int i = 0; i < threads; i++)
    pthread_join(handles[i], NULL);
  if (sampled && !is_profiled())
    return 2;
  qsort(result, (size_t)threads, sizeof result[0], compare);
  printf("%.4f\n", result[threads / 2]);
  return 0;
}
