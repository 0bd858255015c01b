import Wire

extension ControlClient {
  /// Every rule and how it stands.
  public func rules() async throws(ClientError) -> Answer<RulesAnswer> { try await get(["rules"]) }

  /// One rule.
  public func rule(_ name: String) async throws(ClientError) -> Answer<RulesAnswer> { try await get(["rules", name]) }

  /// Adds the rules of a YAML document, or puts them in the place of those that were added under their names; all or none.
  ///
  /// - Parameter file: What mistakes call the document.
  public func addRules(_ text: String, from file: String) async throws(ClientError) -> Answer<RulesAnswer> {
    try await post(["rules"], body: RulesRequest(text: text, file: file))
  }

  /// Turns a rule on or off.
  public func turnRule(_ name: String, on isEnabled: Bool) async throws(ClientError) -> Answer<RulesAnswer> {
    try await put(["rules", name], body: RulesRequest(enabled: isEnabled))
  }

  /// Takes a rule away that was added at run time.
  public func removeRule(_ name: String) async throws(ClientError) -> Answer<RulesAnswer> { try await delete(["rules", name]) }
}
