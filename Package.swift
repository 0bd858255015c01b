// swift-tools-version: 6.2
// The allowed imports of docs/internals/architecture.md, and nothing else: tools/build refuses an undeclared one.
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny")]
/// Optimised in debug builds too: their tests play a million looks.
let quick = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]
let strictC: [CSetting] = [
  .unsafeFlags(["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wno-unused-parameter", "-fvisibility=hidden"])
]
/// Embedded Swift: no runtime library, no heap. Without `-no-allocations` the agent could deadlock on its host's malloc lock.
let embedded: [SwiftSetting] =
  strict + [.enableExperimentalFeature("Embedded"), .unsafeFlags(["-wmo", "-no-allocations", "-Osize"])]
/// The two programs export no function and carry 24 KB of relocations, not 1.6 MB: 4 MB less on disk, 2 MB in memory.
let program: [LinkerSetting] = [
  .unsafeFlags(
    ["-use-ld=lld", "-Xlinker", "--no-export-dynamic", "-Xlinker", "--icf=safe"]
      + ["-Xlinker", "-z", "-Xlinker", "pack-relative-relocs"], .when(configuration: .release))
]

let package = Package(
  name: "mlos",
  products: [
    .library(name: "mlosagent", type: .dynamic, targets: ["CInterpose", "AgentCore"]),
    .executable(name: "mlosd", targets: ["mlosd"]),
    .executable(name: "mlos", targets: ["mlos"]),
  ],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // What runs inside other people's processes.
    .target(name: "CAgentABI", path: "CInterpose/abi", cSettings: strictC),
    .target(
      name: "AgentCore", dependencies: ["CAgentABI"],
      // Old debuggers and valgrind 3.19 give up on DWARF 5, and with them the program that carries the agent.
      swiftSettings: embedded + [.unsafeFlags(["-dwarf-version=4"])]),
    .target(
      name: "CInterpose", dependencies: ["CAgentABI"], path: "CInterpose", exclude: ["abi", "exports.map"],
      sources: ["src"], publicHeadersPath: "include",
      cSettings: strictC + [
        .define("_GNU_SOURCE"),
        // Cold-code splitting would move the counting itself out of malloc: 0.6 ns a pair.
        .unsafeFlags([
          // Exceptions of an allocator's operator new pass through.
          "-fexceptions", "-ftls-model=initial-exec", "-fno-plt", "-Xclang", "-fno-split-cold-code", "-O2", "-gdwarf-4",
          // After the package manager's own -fno-omit-frame-pointer: eight instructions a malloc/free pair.
          "-Xclang", "-mframe-pointer=none",
        ]),
      ],
      linkerSettings: [
        // The linker must be told "Embedded" too, or it drags in libswiftCore and libstdc++.
        .unsafeFlags(
          ["-enable-experimental-feature", "Embedded", "-wmo", "-Xlinker", "--version-script=CInterpose/exports.map"]
            // The symbol table must not be in executable memory: operators are taken out of it (resolve.c).
            + ["-Xlinker", "--rosegment", "-Xlinker", "-z", "-Xlinker", "now", "-Xlinker", "-z", "-Xlinker", "nodelete"])
      ]),
    /// The agent's control loop compiled a second time with the full standard library, for unit tests.
    .target(name: "AgentCoreHosted", dependencies: ["CAgentABI"], swiftSettings: strict),

    // What runs in the supervisor and the command line.
    .target(name: "CLinux", cSettings: strictC),
    .systemLibrary(name: "CELF", pkgConfig: "libelf", providers: [.apt(["libelf-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "Model", swiftSettings: quick),
    .target(name: "Policy", dependencies: ["Model"], swiftSettings: quick),
    .target(name: "Simulator", dependencies: ["Model", "Policy"], swiftSettings: quick),
    .target(name: "Config", dependencies: ["Model", "CYAML"], swiftSettings: strict),
    .target(name: "Journal", dependencies: ["Model", "CSQLite"], swiftSettings: strict),
    .target(name: "Wire", dependencies: ["Model"], swiftSettings: strict),
    .target(name: "LinuxPlatform", dependencies: ["Model", "CLinux", "CAgentABI", "CELF"], swiftSettings: strict),
    .target(
      name: "Supervisor", dependencies: ["Model", "Policy", .product(name: "Logging", package: "swift-log")],
      swiftSettings: strict),
    .target(
      name: "SocketAPI",
      dependencies: [
        "Model", "LinuxPlatform", "CLinux", "CAgentABI", "Supervisor", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(
      name: "HTTPAPI",
      dependencies: [
        "Model", "Wire", "Supervisor", .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .target(
      name: "Client",
      dependencies: [
        "Model", "Wire", .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .target(name: "TestKit", dependencies: ["Model", "CLinux"], swiftSettings: strict),
    .executableTarget(
      name: "mlosd",
      dependencies: [
        "Model", "Config", "Wire", "LinuxPlatform", "Journal", "Supervisor", "SocketAPI", "HTTPAPI", "CLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict, linkerSettings: program),
    .executableTarget(
      name: "mlos",
      dependencies: [
        "Client", "Wire", "Model", "Config", "LinuxPlatform", "Simulator", "CLinux", "CZlib",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict, linkerSettings: program),

    // Tests mirror the sources.
    .testTarget(name: "PolicyTests", dependencies: ["Policy", "Model"], swiftSettings: strict),
    .testTarget(name: "SimulatorTests", dependencies: ["Simulator", "Policy", "Model"], swiftSettings: quick),
    .testTarget(name: "AgentCoreTests", dependencies: ["AgentCoreHosted", "CAgentABI"], swiftSettings: strict),
    .testTarget(
      name: "SocketAPITests",
      dependencies: ["SocketAPI", "LinuxPlatform", "CLinux", "TestKit", .product(name: "Logging", package: "swift-log")],
      swiftSettings: strict),
    .testTarget(name: "ConfigTests", dependencies: ["Config", "Model"], swiftSettings: strict),
    .testTarget(
      name: "JournalTests", dependencies: ["Journal", "JournalWriter", "Model", "CSQLite", "TestKit"], swiftSettings: strict),
    /// Writes a journal until it is killed.
    .executableTarget(
      name: "JournalWriter", dependencies: ["Journal", "Model"], path: "Tests/JournalWriter", swiftSettings: strict),
    .testTarget(name: "WireTests", dependencies: ["Wire", "Model"], swiftSettings: strict),
    .testTarget(
      name: "LinuxPlatformTests", dependencies: ["LinuxPlatform", "Model", "CLinux", "CAgentABI", "TestKit"],
      swiftSettings: strict),
    .testTarget(
      name: "SupervisorTests",
      dependencies: ["Supervisor", "Model", "TestKit", .product(name: "Logging", package: "swift-log")],
      swiftSettings: strict),
    .testTarget(
      name: "DaemonTests",
      dependencies: [
        "mlosd", "HTTPAPI", "Journal", "Model", "Supervisor", "Wire", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "CommandLineTests",
      dependencies: [
        "mlos", "Client", "Wire", "Model", "Config", "Simulator", .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu11
)
