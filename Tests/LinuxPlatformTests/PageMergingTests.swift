import Model
import TestKit
import Testing

@testable import LinuxPlatform

@Suite struct PageMergingTests {
  private let tree = TemporaryTree()
  private var merging: PageMerging { PageMerging(root: tree.path, procRoot: "\(tree.path)/proc") }

  @Test("whether equal pages are merged", arguments: [("0", "ksm-off"), ("1", nil), ("2", "ksm-off"), ("", "ksm-off")])
  func running(text: String, obstacle: String?) {
    tree.write("sys/kernel/mm/ksm/run", "\(text)\n")
    #expect(merging.obstacle() == obstacle)
  }

  @Test func aKernelWithoutItIsToldFromOneThatDoesNotRunIt() { #expect(merging.obstacle() == "no-ksm") }

  @Test func whatIsMergedComesFromTheProcessesOwnCount() {
    tree.write("proc/7/ksm_stat", "ksm_rmap_items 900\nksm_zero_pages 2\nksm_merging_pages 5\nksm_process_profit -3\n")
    #expect(merging.merged(of: 7) == Bytes(7 * ProcFS.pageSize))
    // Linux 5.19 and 6.0 have that alone.
    tree.write("proc/8/ksm_merging_pages", "3\n")
    #expect(merging.merged(of: 8) == Bytes(3 * ProcFS.pageSize))
    #expect(merging.merged(of: 9) == nil)
    tree.write("proc/10/ksm_merging_pages", "99999999999999999999\n")
    #expect(merging.merged(of: 10) == nil)
  }
}
