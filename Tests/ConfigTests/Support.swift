import Testing

@testable import Config

let testPaths = RuntimePaths(user: 1000, environment: ["XDG_RUNTIME_DIR": "/run/user/1000"]) { _ in false }

/// Settings from the text of a file, an environment and options; the errors' descriptions when there are some.
func load(
  _ text: String? = nil, environment: [String: String] = [:], overrides: [SettingOverride] = []
) -> Result<Settings, ConfigErrors> {
  do throws(ConfigErrors) {
    return .success(
      try Settings.load(
        file: text.map { ("f", Array($0.utf8)) }, environment: environment, overrides: overrides, paths: testPaths))
  } catch {
    return .failure(error)
  }
}

extension Result where Failure == ConfigErrors {
  /// One line an error.
  var complaints: [String] { if case .failure(let errors) = self { errors.errors.map(\.description) } else { [] } }
}
