/// As the command `mlos heap` declares it, beside options that the fuzzer has no use for.
enum HeapMeasure: String, CaseIterable { case live, allocated }
