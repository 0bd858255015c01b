/* Included last by files whose functions run rarely: they are compiled for size, since the library's is limited. */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
