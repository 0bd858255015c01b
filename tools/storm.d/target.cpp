// The program in the storm: threads that allocate, throw through a library they have just opened, close it, and fork
// children that do the same. Ends with its input; prints one line of counts then. Its working set is bounded.
//
//   target THREADS PLUGIN...
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

static std::atomic<bool> over;
static std::atomic<long> turns, forks, loads, throws, failures;
static std::vector<const char *> plugins;

static void fail(const char *what) {
  failures++;
  fprintf(stderr, "storm: %s\n", what);
}

static void allocate(std::mt19937 &draw, std::vector<std::unique_ptr<char[]>> &held) {
  for (int i = 0; i < 200; i++) {
    size_t size = size_t(1) << draw() % 14;
    auto &place = held[draw() % held.size()];
    place.reset(new char[size]);
    memset(place.get(), 1, size);
    free(realloc(malloc(size), size * 2));
  }
}

static void load_and_throw(std::mt19937 &draw) {
  void *plugin = dlopen(plugins[draw() % plugins.size()], RTLD_NOW);
  if (!plugin)
    return fail(dlerror());
  loads++;
  if (auto function = reinterpret_cast<void (*)(int)>(dlsym(plugin, "plugin_throw"))) {
    try {
      function(int(draw() % 20));
      fail("nothing was thrown");
    } catch (const std::runtime_error &error) {
      if (strlen(error.what()) != 200)
        fail("another exception came");
      throws++;
    }
  }
  if (dlclose(plugin) != 0)
    fail("dlclose");
}

static void child(std::mt19937 &draw) {
  // In the child of a process with threads only what is safe after fork in glibc: malloc is, dlopen is not while another
  // thread may have held the loader's lock.
  std::vector<std::unique_ptr<char[]>> held(50);
  allocate(draw, held);
  held.clear();
  if (draw() % 2)
    execl("/bin/true", "true", nullptr);
  _exit(0);
}

static void fork_one(std::mt19937 &draw) {
  pid_t pid = fork();
  if (pid == 0)
    child(draw);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
    return fail("a child");
  forks++;
}

static void work(unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<std::unique_ptr<char[]>> held(300);
  while (!over) {
    // Threads end and are made anew: their slots, too, must not leak.
    std::thread([&] {
      for (int i = 0; i < 50 && !over; i++) {
        allocate(draw, held);
        if (draw() % 4 == 0)
          load_and_throw(draw);
        if (draw() % 16 == 0)
          fork_one(draw);
        turns++;
      }
    }).join();
  }
}

int main(int argc, char **argv) {
  for (int i = 2; i < argc; i++)
    plugins.push_back(argv[i]);
  std::vector<std::thread> threads;
  for (int i = 0; i < atoi(argv[1]); i++)
    threads.emplace_back(work, unsigned(i + 1));
  puts("ready");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0)
    ;
  over = true;
  for (auto &thread : threads)
    thread.join();
  printf("%ld %ld %ld %ld\n", turns.load(), forks.load(), loads.load(), throws.load());
  return failures ? 1 : 0;
}
