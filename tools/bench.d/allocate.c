/*
 * For tools/bench-agent: nanoseconds a malloc/free pair of 64 bytes, on a number of threads; each thread its own count.
 * Prints the median over the threads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

static void *work(void *number) {
  for (int i = 0; i < 10000; i++) {
    void *volatile block = malloc(64);
    free(block);
  }
  pthread_barrier_wait(&barrier);
  double start = now_ns();
  for (long i = 0; i < pairs; i++) {
    void *volatile block = malloc(64);
    free(block);
  }
  result[(long)number] = (now_ns() - start) / (double)pairs;
  return NULL;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int threads = atoi(argv[1]);
  pthread_t handles[THREADS_MAX];
  pairs = atol(argv[2]);
  if (threads < 1 || threads > THREADS_MAX)
    return 1;
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  for (long i = 0; i < threads; i++)
    pthread_create(&handles[i], NULL, work, (void *)i);
  for (int i = 0; i < threads; i++)
    pthread_join(handles[i], NULL);
  qsort(result, (size_t)threads, sizeof result[0], compare);
  printf("%.4f\n", result[threads / 2]);
  return 0;
}
