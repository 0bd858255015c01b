#ifndef MLOS_PRIVATE_H
#define MLOS_PRIVATE_H

/* Declared as hidden, not only defined so: then it is reached directly, without a look into the global offset table. */
#define mlos_private __attribute__((visibility("hidden")))

#endif
