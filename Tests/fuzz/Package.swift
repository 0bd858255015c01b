// swift-tools-version: 6.2
// The readers of hostile input, built once more with coverage for libFuzzer: tools/fuzz. A package of its own, so that the
// product's build knows nothing of it; the folders below Sources are links to the product's.
import PackageDescription

let settings: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

let package = Package(
  name: "fuzz",
  dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")],
  targets: [
    .target(name: "CAgentABI"),
    .target(name: "CLinux"),
    .target(name: "CFuzz", dependencies: ["CAgentABI"]),
    .systemLibrary(name: "CELF", pkgConfig: "libelf", providers: [.apt(["libelf-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .target(name: "Model", swiftSettings: settings),
    .target(name: "Config", dependencies: ["Model", "CYAML"], swiftSettings: settings),
    .target(name: "Wire", dependencies: ["Model"], swiftSettings: settings),
    .target(name: "LinuxPlatform", dependencies: ["Model", "CLinux", "CAgentABI", "CELF"], swiftSettings: settings),
    .target(name: "Frames", dependencies: ["CAgentABI"], swiftSettings: settings),
    // What the supervisor and the command line make of what was read, as far as it needs neither logger nor event loop.
    .target(name: "Supervised", dependencies: ["Model"], swiftSettings: settings),
    .target(
      name: "Views",
      dependencies: ["Wire", "Model", "CLinux", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: settings),
    .executableTarget(
      name: "fuzz",
      dependencies: ["Config", "Wire", "LinuxPlatform", "Frames", "CFuzz", "Model", "Supervised", "Views"],
      swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]),
  ]
)
