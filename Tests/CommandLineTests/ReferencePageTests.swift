import Foundation
import Testing

@testable import mlos

/// docs/reference/cli.md says what the command does.
@Suite struct ReferencePageTests {
  static func page() throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: "docs/reference/cli.md"), encoding: .utf8)
  }

  @Test("every status has its line") func statuses() throws {
    let page = try Self.page()
    for status in ExitStatus.allCases { #expect(page.contains("\n| \(status.rawValue) | \(status.meaning) |\n")) }
  }

  @Test("every command has its line, and an example in its help") func commands() throws {
    let page = try Self.page()
    for command in CommandLineInterface.configuration.subcommands {
      let name = command.configuration.commandName ?? ""
      #expect(page.contains("\n| `mlos \(name)"), "\(name)")
      #expect(command.configuration.discussion.contains("mlos \(name)"), "\(name)")
    }
  }

  @Test("every kind of order is named") func orders() throws {
    let page = try Self.page()
    #expect(page.contains(ProcessOrder.allCases.map(\.rawValue).joined(separator: "|")))
    #expect(page.contains(MemoryOrder.allCases.map(\.rawValue).joined(separator: "|")))
  }
}
