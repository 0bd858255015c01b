import Foundation
import Testing

@testable import mlos

@Suite struct PressureWatchTests {
  private func variables(inherited: String? = nil, listens: Bool = false, takes: Set<String> = []) -> [String: String?] {
    let changes = PressureWatch.variables(
      inherited: inherited.map { Array($0.utf8) }, socket: "/run/mlos/memory.sock", files: ["/group", "/machine"],
      listens: { _ in listens }, takesTrigger: { takes.contains($0) })
    return Dictionary(uniqueKeysWithValues: changes.map { ($0.name, $0.value.map { String(decoding: $0, as: UTF8.self) }) })
  }

  @Test func theSupervisorComesFirstAndWantsNothingWritten() {
    #expect(
      variables(listens: true, takes: ["/group"])
        == ["MEMORY_PRESSURE_WATCH": "/run/mlos/memory.sock", "MEMORY_PRESSURE_WRITE": nil])
  }

  @Test func withoutOneTheGroupsFileAndThenTheMachines() {
    let write = PressureWatch.trigger
    #expect(variables(takes: ["/group", "/machine"]) == ["MEMORY_PRESSURE_WATCH": "/group", "MEMORY_PRESSURE_WRITE": write])
    #expect(variables(takes: ["/machine"]) == ["MEMORY_PRESSURE_WATCH": "/machine", "MEMORY_PRESSURE_WRITE": write])
    #expect(variables().isEmpty)
  }

  @Test(arguments: ["/sys/fs/cgroup/system.slice/x.service/memory.pressure", "/dev/null", ""])
  func whatTheServiceManagerSaidStays(_ path: String) {
    #expect(variables(inherited: path, listens: true, takes: ["/group"]).isEmpty)
  }

  @Test func whatIsWrittenIsATriggerThatAnybodyMayHave() {
    let words = Data(base64Encoded: PressureWatch.trigger).map { String(decoding: $0, as: UTF8.self) }
    #expect(words == "some 200000 2000000\0")
  }
}
