import Hummingbird
import Model
import NIOCore
import Wire

/// The settings, as far as the control API shows and changes them.
public protocol ConfigurationKeeping: Sendable {
  func shown() async -> ConfigAnswer
  /// Changes a setting while the supervisor runs, or takes that change back.
  ///
  /// - Parameter value: Nil to take it back.
  /// - Returns: The settings in force afterwards, of this key only.
  func change(_ key: String, to value: String?, by requester: Requester) async throws(ConfigurationRefusal) -> ConfigAnswer
}

/// Why a setting was not changed.
public enum ConfigurationRefusal: Error, Sendable {
  /// What was asked for is wrong; a stable word and the reason, with what may be written.
  case wrong(code: String, String)
  /// It takes effect at start only.
  case needsRestart(String)
  /// There is no change of this key to take back.
  case notChanged(String)
  /// It cannot be kept.
  case unavailable(String)
}

extension APIError {
  init(_ refusal: ConfigurationRefusal) {
    switch refusal {
    case .wrong(let code, let why): self.init(.unprocessableContent, "invalid_request", why, ["mistake": code])
    case .needsRestart(let why): self.init(.conflict, "needs_restart", why)
    case .notChanged(let key):
      self.init(.notFound, "not_found", "'\(printable(key.utf8.prefix(200)))' was not changed at run time")
    case .unavailable(let why): self.init(.conflict, "unavailable", why)
    }
  }
}

extension ControlContext {
  /// Who is at the other end, as the kernel tells.
  func requester() async -> Requester {
    // SO_PEERCRED of socket(7).
    guard let provider = channel as? any SocketOptionProvider,
      let peer: PeerCredentials = try? await provider.unsafeGetSocketOption(level: .socket, name: .init(rawValue: 17)).get(),
      peer.pid > 0
    else { return Requester("control socket") }
    return Requester("user \(peer.user)", uid: peer.user, pid: peer.pid)
  }
}

/// struct ucred of unix(7).
private struct PeerCredentials: Sendable {
  var pid: Int32
  var user: UInt32
  var group: UInt32
}

extension ControlAPI {
  var configurationEndpoints: [Endpoint] {
    [
      .get("api/v1/config") { _, _ in try JSON.response(await configuration.shown()) },
      Endpoint(
        path: "api/v1/config/:key", query: [],
        handlers: [
          .put: { request, context in
            let asked = try await JSON.decode(SettingRequest.self, from: request, limit: bodyLimit())
            return try await change(asked.value, context)
          },
          .delete: { _, context in try await change(nil, context) },
        ]),
    ]
  }

  private func change(_ value: String?, _ context: ControlContext) async throws -> Response {
    let key = context.parameters.get("key") ?? ""
    return try JSON.response(
      try await configuration.change(Self.percentDecoded(key), to: value, by: await context.requester()))
  }

  /// `%22` and the like of RFC 3986; what is none stays as it is.
  static func percentDecoded(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var decoded: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
        let high = Character(Unicode.Scalar(bytes[index + 1])).hexDigitValue,
        let low = Character(Unicode.Scalar(bytes[index + 2])).hexDigitValue
      {
        decoded.append(UInt8(high << 4 | low))
        index += 3
      } else {
        decoded.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: decoded, as: UTF8.self)
  }
}
