// Every form of operator new and delete, containers, exceptions and threads that free what others allocated. Prints one
// line a result, `NAME digest SUM`; the sum is FNV-1a four times over, as 64 hexadecimal digits.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {
class Sum {
public:
  void add(const void *data, std::size_t size) {
    auto *bytes = static_cast<const unsigned char *>(data);
    for (std::size_t i = 0; i < size; ++i)
      for (int k = 0; k < 4; ++k)
        state_[k] = (state_[k] ^ (bytes[i] + static_cast<unsigned>(k))) * 1099511628211ULL;
  }
  void add(std::uint64_t value) { add(&value, sizeof value); }
  void print(const char *name) const {
    std::printf("%s digest %016llx%016llx%016llx%016llx\n", name, (unsigned long long)state_[0],
                (unsigned long long)state_[1], (unsigned long long)state_[2], (unsigned long long)state_[3]);
    std::fflush(stdout);
  }

private:
  std::uint64_t state_[4] = {14695981039346656037ULL, 2, 3, 4};
};

struct alignas(128) Wide {
  unsigned char bytes[384];
};

std::uint32_t next(std::uint32_t &state) { return state = state * 1664525u + 1013904223u; }

void operators() {
  Sum sum;
  std::uint32_t seed = 1;
  for (int round = 0; round < 20000; ++round) {
    std::size_t size = 1 + next(seed) % 3000;
    auto *plain = static_cast<unsigned char *>(::operator new(size));
    auto *quiet = static_cast<unsigned char *>(::operator new[](size, std::nothrow));
    auto *aligned = static_cast<unsigned char *>(::operator new(size, std::align_val_t(64)));
    auto *both = static_cast<unsigned char *>(::operator new[](size, std::align_val_t(256), std::nothrow));
    auto *wide = new Wide;
    std::memset(plain, round, size), std::memset(quiet, round + 1, size), std::memset(aligned, round + 2, size);
    std::memset(both, round + 3, size), std::memset(wide->bytes, round + 4, sizeof wide->bytes);
    sum.add(reinterpret_cast<std::uintptr_t>(aligned) % 64), sum.add(reinterpret_cast<std::uintptr_t>(both) % 256);
    sum.add(reinterpret_cast<std::uintptr_t>(wide) % 128);
    sum.add(std::uint64_t(plain[size - 1]) + quiet[0] + aligned[size / 2] + both[size - 1] + wide->bytes[383]);
    ::operator delete(plain, size);
    ::operator delete[](quiet, std::nothrow);
    ::operator delete(aligned, size, std::align_val_t(64));
    ::operator delete[](both, std::align_val_t(256), std::nothrow);
    delete wide;
  }
  sum.print("operators");
}

void failures() {
  Sum sum;
  volatile std::size_t huge = static_cast<std::size_t>(-1) / 4;
  for (int round = 0; round < 200; ++round) {
    try {
      ::operator delete(::operator new(huge));
      sum.add(1);
    } catch (const std::bad_alloc &) {
      sum.add(2);
    }
    sum.add(::operator new(huge, std::nothrow) == nullptr);
    sum.add(std::malloc(huge) == nullptr), sum.add(std::calloc(huge, 8) == nullptr);
    try {
      throw std::runtime_error("round " + std::to_string(round) + std::string(200, 'x'));
    } catch (const std::exception &problem) {
      sum.add(problem.what(), std::strlen(problem.what()));
    }
  }
  sum.print("failures");
}

void containers() {
  Sum sum;
  std::uint32_t seed = 2;
  std::map<std::string, std::vector<std::uint32_t>> ordered;
  std::unordered_map<std::uint32_t, std::unique_ptr<std::string>> hashed;
  for (int round = 0; round < 60000; ++round) {
    auto value = next(seed);
    ordered["a key of some length " + std::to_string(value % 900)].push_back(value);
    hashed[value % 5000] = std::make_unique<std::string>(value % 60, 'y');
    if (round % 7 == 0) hashed.erase(value % 4000);
  }
  for (auto &[key, values] : ordered)
    sum.add(key.data(), key.size()), sum.add(std::accumulate(values.begin(), values.end(), 0ULL));
  sum.add(hashed.size());
  sum.print("containers");
}

void c_functions() {
  Sum sum;
  std::uint32_t seed = 3;
  std::vector<unsigned char *> blocks(500, nullptr);
  for (int round = 0; round < 60000; ++round) {
    auto &block = blocks[next(seed) % blocks.size()];
    std::size_t size = 8 + next(seed) % 9000;
    block = static_cast<unsigned char *>(std::realloc(block, size));
    block[size - 1] = block[0] = static_cast<unsigned char>(round);
    sum.add(block[0]);
    void *memory = nullptr;
    sum.add(posix_memalign(&memory, 4096, size)), sum.add(reinterpret_cast<std::uintptr_t>(memory) % 4096);
    std::free(memory);
    if (round % 5 == 0) std::free(block), block = nullptr;
  }
  for (auto *block : blocks) std::free(block);
  sum.print("C functions");
}

void threads() {
  // Each thread frees what another allocated; the sum is order-independent.
  std::mutex lock;
  std::vector<std::unique_ptr<std::string>> shared;
  std::uint64_t total = 0;
  std::vector<std::thread> workers;
  for (unsigned worker = 0; worker < 8; ++worker)
    workers.emplace_back([&, worker] {
      std::uint32_t seed = worker;
      for (int round = 0; round < 20000; ++round) {
        auto made = std::make_unique<std::string>(next(seed) % 500, static_cast<char>('a' + worker));
        std::lock_guard<std::mutex> hold(lock);
        total += made->size();
        shared.push_back(std::move(made));
        if (shared.size() > 300) std::swap(shared.front(), shared.back()), shared.pop_back();
      }
    });
  for (auto &worker : workers) worker.join();
  Sum sum;
  sum.add(total), sum.add(shared.size());
  sum.print("threads");
}
} // namespace

int main(int count, char **words) {
  const std::map<std::string, void (*)()> parts = {{"operators", operators},
                                                   {"containers", containers},
                                                   {"functions", c_functions},
                                                   {"threads", threads},
                                                   {"failures", failures}};
  for (int i = 1; i < count; ++i)
    parts.at(words[i])();
}
