/// Which MLOS this is.
public enum Release {
  /// Of the programs and of what they say of themselves in the API.
  public static let version = "0.1.0"
}
