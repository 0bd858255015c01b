import Glibc
import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct GroupReclaimerTests {
  private let tree = TemporaryTree()
  private var reclaimer: GroupReclaimer { GroupReclaimer(root: tree.path, procRoot: "\(tree.path)/proc") }

  /// A process in a group of its own, with everything that is needed.
  private func lay(group: String = "/app.service", procs: String = "7\n", children: Int = 0) {
    tree.write("proc/self/mounts", "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")
    tree.write("proc/7/cgroup", "4:memory:/old\n0::\(group)\n")
    tree.write("sys/fs/cgroup\(group)/cgroup.procs", procs)
    tree.write("sys/fs/cgroup\(group)/cgroup.stat", "nr_descendants \(children)\nnr_dying_descendants 3\n")
    tree.write("sys/fs/cgroup\(group)/memory.current", "104857600\n")
    tree.write("sys/fs/cgroup\(group)/memory.reclaim", "")
  }

  private func asked(_ group: String = "/app.service") throws -> String {
    let file = try openPath("\(tree.path)/sys/fs/cgroup\(group)/memory.reclaim", O_RDONLY)
    return String(decoding: try file.contents(limit: 100, "memory.reclaim"), as: UTF8.self)
  }

  private func refusal(meant: Set<Int32> = [7]) -> String? {
    do throws(GroupReclaimer.Refusal) {
      _ = try reclaimer.reclaim(.mebibytes(1), of: 7, meant: meant)
      return nil
    } catch {
      return error.word
    }
  }

  @Test func theBytesWantedAreWrittenToTheProcesssOwnGroup() throws {
    lay()
    let outcome = try reclaimer.reclaim(.mebibytes(3), of: 7, meant: [7, 8])
    #expect(try asked() == "3145728")
    #expect(outcome == GroupReclaimer.Outcome(before: .mebibytes(100), after: .mebibytes(100), isComplete: true))
  }

  @Test func moreThanTheCallMayTakeIsCutOff() throws {
    lay()
    _ = try reclaimer.reclaim(.mebibytes(3_000), of: 7, meant: [7])
    #expect(try asked() == "67108864")
  }

  @Test func allWhoShareTheGroupMustBeMeant() {
    lay(procs: "7\n8\n0\n")
    #expect(refusal() == "group-shared-with-2")
    lay(procs: "7\n8\n")
    #expect(refusal(meant: [7, 8]) == nil)
    lay(procs: "8\n")
    #expect(refusal() == "group-changed")
    lay(children: 1)
    #expect(refusal() == "group-has-children")
  }

  @Test func whatTheMachineLacksIsToldApart() {
    #expect(refusal() == "group-unreadable")
    tree.write("proc/7/cgroup", "4:memory:/old\n1:name=systemd:/\n")
    #expect(refusal() == "no-cgroup-v2")
    // Both versions, memory with the first: the second has the group and nothing about memory.
    tree.write("proc/7/cgroup", "4:memory:/old\n0::/app.service\n")
    #expect(refusal() == "no-cgroup-v2", "not mounted")
    tree.write("proc/self/mounts", "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n")
    #expect(refusal() == "group-unreadable")
    tree.makeDirectory("sys/fs/cgroup/unified/app.service")
    #expect(refusal() == "no-memory-controller")
    lay(group: "/other.service")
    unlink("\(tree.path)/sys/fs/cgroup/other.service/memory.reclaim")
    #expect(refusal() == "no-memory-reclaim")
    tree.makeDirectory("sys/fs/cgroup/other.service/memory.reclaim")
    #expect(refusal() == "not-writable")
    tree.write("proc/7/cgroup", "0::/../outside\n")
    #expect(refusal() == "group-not-seen")
    tree.write("proc/7/cgroup", "0::/app.service (deleted)\n")
    #expect(refusal() == "group-not-seen")
  }
}
