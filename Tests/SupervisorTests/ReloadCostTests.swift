import Model
import Synchronization
import Testing

@testable import Supervisor

/// Storage that reads as fast as the test says.
private final class FakeStorage: StorageMetering {
  let rate: Double?
  let asked = Mutex<[FileReference]>([])
  init(rate: Double?) { self.rate = rate }
  func secondsPerByte(of file: FileReference, in pid: Int32) -> Double? {
    asked.withLock { $0.append(file) }
    return rate
  }
}

@Suite struct ReloadCostTests {
  private func object(_ path: String, device: UInt64, inode: UInt64, mebibytes: UInt64) -> Inventory.Object {
    var object = Inventory.Object(
      file: FileReference(device: device, inode: inode, path: Array(path.utf8), isDeleted: false), start: 0)
    object.isModule = true
    object.usage.resident = .mebibytes(mebibytes)
    return object
  }

  @Test func theLargestFileOfEachDeviceIsMeasuredOnceInTenMinutes() {
    var cost = ReloadCost()
    let objects = [
      object("/a", device: 1, inode: 1, mebibytes: 3), object("/b", device: 1, inode: 2, mebibytes: 5),
      object("/c", device: 2, inode: 3, mebibytes: 1),
    ]
    let due = cost.due(objects, at: 0)
    #expect(due.map(\.displayPath) == ["/b", "/c"])
    // Under way, and then fresh.
    #expect(cost.due(objects, at: 1).isEmpty)
    for file in due { cost.take(1e-8, of: file, at: 2) }
    #expect(cost.due(objects, at: ReloadCost.freshNanoseconds).isEmpty)
    #expect(cost.due(objects, at: ReloadCost.freshNanoseconds + 2).count == 2)
  }

  @Test func secondsAreBytesByTheRateOfTheirDevice() {
    var cost = ReloadCost()
    let (slow, fast, unknown) = (
      object("/a", device: 1, inode: 1, mebibytes: 1).file, object("/b", device: 2, inode: 2, mebibytes: 1).file,
      object("/c", device: 3, inode: 3, mebibytes: 1).file
    )
    cost.take(1e-6, of: slow, at: 0)
    cost.take(1e-9, of: fast, at: 0)
    cost.take(nil, of: unknown, at: 0)
    #expect(cost.seconds(Bytes(1_000_000), of: slow) == 1)
    #expect(abs((cost.seconds(Bytes(1_000_000), of: fast) ?? 0) - 0.001) < 1e-12)
    #expect(cost.seconds(Bytes(1), of: unknown) == nil && cost.seconds(.zero, of: unknown) == 0)
  }

  @Test(arguments: [Double.nan, .infinity, 0, -1])
  func aSenselessRateIsNone(_ rate: Double) {
    var cost = ReloadCost()
    let file = object("/a", device: 1, inode: 1, mebibytes: 1).file
    cost.take(rate, of: file, at: 0)
    #expect(cost.seconds(Bytes(1), of: file) == nil)
  }

  @Test func noMoreDevicesAreRememberedThanTheLimit() {
    var cost = ReloadCost()
    for device in 0..<200 as Range<UInt64> {
      cost.take(1e-8, of: object("/a", device: device, inode: 1, mebibytes: 1).file, at: device)
    }
    let known = (0..<200 as Range<UInt64>).count {
      cost.seconds(Bytes(1), of: object("/a", device: $0, inode: 1, mebibytes: 1).file) != nil
    }
    #expect(known == ReloadCost.limit)
  }

  @Test func aPlanShowsWhatReadingAgainWouldTake() async throws {
    let storage = FakeStorage(rate: 1e-8)
    let stage = Stage(storage: storage)
    stage.proc.add(10)
    var big = mapping(0x1000, 8 << 20, .file(file("/lib/big/libbig.so", inode: 5)), resident: 8 << 20, [.read, .execute])
    big.usage.privateClean = .mebibytes(8)
    let mapped = big
    stage.proc.state.withLock { $0.mappings[10] = [mapped] }
    _ = stage.attach(10, session: 1)
    stage.clock.advance(seconds: 60)
    await stage.supervisor.tick()
    await stage.supervisor.unloading.measuring?.value
    let figures = await stage.supervisor.plan(name: "big").rows.first?.judgement.figures
    #expect(abs((figures?.reloadSeconds ?? 0) - 8 * 1_048_576 * 1e-8) < 1e-9)
    #expect(storage.asked.withLock { $0.map(\.displayPath) } == ["/lib/big/libbig.so"])
  }
}
