/*
 * For tools/bench: microseconds to spawn /bin/true and wait for it, one after the other with and without LD_PRELOAD, so
 * that both see the same machine. Prints the medians: without, with, without again.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static double spawn_us(char *const environment[]) {
  static char *const arguments[] = {"true", NULL};
  struct timespec start, end;
  pid_t child;
  int status;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environment) || waitpid(child, &status, 0) != child || status)
    exit(1);
  clock_gettime(CLOCK_MONOTONIC, &end);
  return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int rounds = atoi(argv[1]);
  char preload[4200];
  snprintf(preload, sizeof preload, "LD_PRELOAD=%s", argv[2]);
  char *without[] = {"MLOS_SOCKET=/nonexistent", NULL}, *with[] = {"MLOS_SOCKET=/nonexistent", preload, NULL};
  double *times[3];
  for (int i = 0; i < 3; i++)
    times[i] = malloc(sizeof(double) * (size_t)rounds);
  for (int i = 0; i < rounds; i++) {
    times[0][i] = spawn_us(without);
    times[1][i] = spawn_us(with);
    times[2][i] = spawn_us(without);
  }
  for (int i = 0; i < 3; i++) {
    qsort(times[i], (size_t)rounds, sizeof(double), compare);
    printf("%.1f ", times[i][rounds / 2]);
  }
  puts("");
  return 0;
}
