import Foundation
import Testing

@testable import Client
@testable import Wire
@testable import mlos

/// Figures and places in an answer are another program's word; found by tools/fuzz, target json.
@Suite struct HeapAnswerTests {
  private func estimate(_ bytes: UInt64) -> HeapEstimate {
    HeapEstimate(bytes: bytes, lowBytes: nil, highBytes: nil, objects: bytes, samples: 1)
  }

  /// One stack a size, each through the frames given, in a package given.
  private func answer(_ sizes: [UInt64], frames: [Int] = [0], package: Int = 0, framePackage: Int = 0) -> HeapAnswer {
    let figures = HeapFigures(live: estimate(0), allocated: estimate(0))
    return HeapAnswer(
      startedAt: 0, pid: 1, name: "x", seconds: 1, askedSeconds: 1, reason: nil,
      sampling: HeapSampling(
        meanBytes: 1, largestMeanBytes: 1, samples: 1, throttled: 0, stacksLost: 0, liveLost: 0, refused: 0),
      exact: HeapExactRow(allocations: nil, allocatedBytes: nil, liveHeapBytes: nil), total: figures, withoutStack: figures,
      packages: [HeapPackageRow(name: "p", kind: .file, version: Known(nil), own: figures, through: figures)],
      stacks: sizes.map {
        HeapStackRow(frames: frames, package: package, isComplete: true, live: estimate($0), allocated: estimate($0))
      }, stacksLeftOut: 0,
      frames: [HeapFrameRow(function: Known("f"), module: Known(nil), address: 0, package: framePackage)])
  }

  @Test("An answer names only frames and packages that are in it")
  func consistency() {
    #expect(answer([1]).isConsistent() && answer([]).isConsistent())
    for index in [-1, 1, Int.max, Int.min] {
      #expect(!answer([1], frames: [0, index]).isConsistent())
      #expect(!answer([1], package: index).isConsistent())
      #expect(!answer([1], framePackage: index).isConsistent())
    }
  }

  @Test("The client refuses an answer that names others") func refused() async throws {
    let json = String(decoding: try StreamingEncoder.encode(answer([1], frames: [7])), as: UTF8.self)
    let server = try await ScriptedServer([.pieces([ScriptedServer.response(json)])])
    let client = ControlClient(socketPath: server.path)
    await #expect(throws: ClientError.protocolError("it names frames or packages that are not in it")) {
      _ = try await client.heapProfile(of: 1, HeapProfileRequest(seconds: 1))
    }
    await client.close()
    try await server.stop()
  }

  @Test("Figures at the largest number add up to a graph and a profile")
  func largest() {
    var largest = answer([.max, .max])
    #expect(FlameGraph(answer: largest).svg().contains("16.0 EiB"))
    for seconds in [1e300, -1e300, 1.8e10, .infinity, .nan] {
      largest.startedAt = seconds
      largest.seconds = seconds
      #expect(!PprofProfile(answer: largest).encoded().isEmpty)
    }
  }
}
