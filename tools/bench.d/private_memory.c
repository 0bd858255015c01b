/* For tools/bench: KiB that belong to the agent in this process: its library's private pages and its segment. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *work(void *unused) {
  for (int i = 0; i < 5000; i++) {
    void *volatile block = malloc(100);
    free(block);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[16];
  for (int i = 0; i < 16; i++)
    pthread_create(&threads[i], NULL, work, NULL);
  for (int i = 0; i < 16; i++)
    pthread_join(threads[i], NULL);
  FILE *maps = fopen("/proc/self/smaps", "r");
  char line[4096];
  int ours = 0, segment = 0;
  unsigned long start, end, ours_end = 0;
  long private_kib = 0, segment_kib = 0, value;
  while (maps && fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
      /* The zeroed data has no name; it follows the library's last mapping directly. */
      ours = strstr(line, "libmlosagent") != NULL || (start == ours_end && !strchr(line, '/') && !strchr(line, '['));
      ours_end = ours ? end : 0;
      segment = strstr(line, "/dev/zero") != NULL || strstr(line, "mlos-agent") != NULL;
    }
    if (ours && sscanf(line, "Anonymous: %ld", &value) == 1)
      private_kib += value;
    if (segment && sscanf(line, "Rss: %ld", &value) == 1)
      segment_kib += value;
  }
  printf("%ld %ld\n", private_kib, segment_kib);
  return 0;
}
