/// One line of `mlos doctor`: something MLOS can use on this machine, or not, and what would change that.
public struct Finding: Hashable, Sendable, Codable {
  public enum Verdict: String, Hashable, Sendable, Codable {
    /// Works.
    case works
    /// MLOS runs, with less.
    case limited
    /// This feature is not to be had here.
    case missing
    /// Could not be found out.
    case unknown
  }
  /// Stable identifier, e.g. `cgroup-v2`, `psi`, `swap`.
  public var id: String
  /// What was looked at, e.g. "cgroup v2 controllers".
  public var subject: String
  public var verdict: Verdict
  /// What was found, in words and numbers.
  public var found: String
  /// What MLOS cannot do because of it; nil when it works.
  public var consequence: String?
  /// What to do, a command where there is one; nil when nothing is to be done.
  public var remedy: String?

  public init(
    id: String, subject: String, verdict: Verdict, found: String, consequence: String? = nil, remedy: String? = nil
  ) {
    self.id = id
    self.subject = subject
    self.verdict = verdict
    self.found = found
    self.consequence = consequence
    self.remedy = remedy
  }
}
