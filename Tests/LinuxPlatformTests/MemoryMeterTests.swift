import LinuxPlatform
import Model
import TestKit
import Testing

@Suite struct MemoryMeterTests {
  private let tree = TemporaryTree()
  private var meter: MemoryMeter { MemoryMeter(root: tree.path, procRoot: "\(tree.path)/proc") }

  private func machine(total: UInt64 = 8000, available: UInt64 = 2000) {
    tree.write("proc/meminfo", "MemTotal:        \(total) kB\nMemFree:          100 kB\nMemAvailable:    \(available) kB\n")
  }

  @Test func theMachineBindsWhereNothingElseDoes() {
    machine()
    #expect(meter.pressure() == MemoryPressure(used: .kibibytes(6000), limit: .kibibytes(8000)))
  }

  @Test(arguments: ["", "MemTotal: 8000 kB\n", "MemTotal: 8000\nMemAvailable: 1 kB\n", "MemTotal: 0 kB\nMemAvailable: 0 kB\n"])
  func whatCannotBeReadIsNotKnown(_ text: String) {
    tree.write("proc/meminfo", text)
    #expect(meter.pressure() == nil)
  }

  @Test func aMissingFileIsNotKnown() { #expect(meter.pressure() == nil) }

  @Test func moreAvailableThanThereIsIsNothingUsed() {
    machine(total: 100, available: 200)
    #expect(meter.pressure()?.used == .zero)
  }

  @Test func aContainersLimitBindsWhenItIsNearer() {
    machine()
    tree.write("sys/fs/cgroup/memory.current", "1000000\n")
    tree.write("sys/fs/cgroup/memory.max", "1000000\n")
    tree.write("sys/fs/cgroup/memory.high", "max\n")
    tree.write("sys/fs/cgroup/memory.stat", "anon 5\nactive_file 50000\ninactive_file 50000\n")
    #expect(meter.pressure() == MemoryPressure(used: Bytes(900_000), limit: Bytes(1_000_000), source: "cgroup /"))
    // Its page cache can be had back; without it, the machine is nearer to its limit.
    tree.write("sys/fs/cgroup/memory.stat", "active_file 900000\n")
    #expect(meter.pressure()?.source == "machine")
  }

  @Test func beyondHighAGroupIsSlowedDown() {
    machine()
    tree.write("sys/fs/cgroup/memory.current", "900\n")
    tree.write("sys/fs/cgroup/memory.max", "max\n")
    tree.write("sys/fs/cgroup/memory.high", "1000\n")
    #expect(meter.pressure() == MemoryPressure(used: Bytes(900), limit: Bytes(1000), source: "cgroup /"))
  }

  @Test func theFirstHierarchyCounts() {
    machine()
    tree.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n")
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n")
    tree.write("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 100\n")
    #expect(meter.pressure() == MemoryPressure(used: Bytes(800), limit: Bytes(1000), source: "cgroup v1 /"))
  }

  @Test func aLimitBeyondTheMachineBindsNothing() {
    machine()
    tree.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "9000000000000000000\n")
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    #expect(meter.pressure()?.source == "machine")
  }

  @Test func stallsAreReadAsTheyStand() {
    tree.write("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345\nfull avg10=0.00 total=7\n")
    #expect(meter.stalledMicroseconds() == 12345)
    for text in ["", "full total=7\n", "some avg10=0.00\n", "some total=x\n"] {
      tree.write("proc/pressure/memory", text)
      #expect(meter.stalledMicroseconds() == nil)
    }
  }

  @Test func thisMachineCanBeRead() throws {
    let pressure = try #require(MemoryMeter().pressure())
    #expect(pressure.used > .zero && pressure.limit > pressure.used)
  }
}
