/* A process for the supervisor to watch. Reads a number from standard input: opens and closes a library that many times,
   then says so. Ends with its input. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  char line[32];
  /* Something allocated and something loaded is what makes an agent connect. */
  void *first = dlopen("libresolv.so.2", RTLD_NOW);
  if (!first || dlclose(first) != 0)
    return 1;
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    for (int count = atoi(line); count > 0; count--) {
      void *handle = dlopen("libresolv.so.2", RTLD_NOW);
      if (!handle || dlclose(handle) != 0)
        return 1;
    }
    puts("done");
    fflush(stdout);
  }
  return 0;
}
