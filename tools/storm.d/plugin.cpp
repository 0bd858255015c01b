// A library that the storm opens and closes: its constructor allocates, its function throws through its caller's frames.
#include <stdexcept>
#include <string>
#include <vector>

static const std::vector<std::string> table(100, std::string(200, 'x'));

extern "C" void plugin_throw(int depth) {
  std::string held(depth * 10 + 20, 'y'); // destroyed on the way up
  if (depth > 0)
    plugin_throw(depth - 1);
  else
    throw std::runtime_error(table.front());
}
