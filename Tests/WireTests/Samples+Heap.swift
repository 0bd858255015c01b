import Model
import Wire

extension Samples {
  private func estimate(_ bytes: UInt64) -> HeapEstimate {
    HeapEstimate(
      bytes: bytes, lowBytes: known ? bytes * 9 / 10 : nil, highBytes: known ? bytes * 11 / 10 : nil, objects: bytes >> 10,
      samples: bytes >> 19)
  }
  private func figures(_ bytes: UInt64) -> HeapFigures { HeapFigures(live: estimate(bytes), allocated: estimate(bytes * 4)) }

  var heap: HeapAnswer {
    HeapAnswer(
      startedAt: 1_800_000_012.5, pid: 4711, name: "python3", seconds: known ? 9.75 : 0, askedSeconds: 10,
      reason: known ? nil : "the process ended",
      sampling: HeapSampling(
        meanBytes: 524_288, largestMeanBytes: 1 << 20, samples: 900, throttled: 3, stacksLost: 2, liveLost: 1, refused: 0),
      exact: HeapExactRow(
        allocations: known ? 123_456 : nil, allocatedBytes: known ? 500 << 20 : nil, liveHeapBytes: known ? 700 << 20 : nil),
      total: figures(128 << 20), withoutStack: figures(0),
      packages: [
        HeapPackageRow(
          name: "numpy", kind: .python, version: Known(known ? "2.4.6" : nil), own: figures(96 << 20), through: figures(112 << 20)
        )
      ],
      stacks: [
        HeapStackRow(frames: [0, 1], package: 0, isComplete: known, live: estimate(64 << 20), allocated: estimate(256 << 20))
      ], stacksLeftOut: 0,
      frames: [
        HeapFrameRow(
          function: Known(known ? "PyArray_NewFromDescr_int" : nil),
          module: Known(known ? "/venv/numpy/_core/_multiarray_umath.so" : nil), address: 0x1A2B0, package: 0),
        HeapFrameRow(function: Known(nil), module: Known(nil), address: 0x7F00_0000_1000, package: 0),
      ])
  }

  var heapProgress: HeapProgressAnswer {
    HeapProgressAnswer(pid: 4711, askedSeconds: 10, seconds: Known(known ? 4.5 : nil), samples: 321)
  }
}
