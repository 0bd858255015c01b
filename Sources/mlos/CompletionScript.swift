import ArgumentParser

/// The scripts of the argument parser, with what it cannot know: that what follows `run` is another program's command line, what
/// `help` is asked about, and that bash and zsh take `--name=value` too. Each change replaces text the parser always writes; a
/// test asks the real shells.
enum CompletionScript {
  static func text(for shell: CompletionShell) -> String {
    let script = CommandLineInterface.completionScript(for: shell)
    return switch shell {
    case .bash: bash(script)
    case .zsh: zsh(script)
    case .fish: fish(script)
    default: script
    }
  }

  /// Of the program that `run` starts: how each shell lists commands, in its own language.
  static var program: CompletionKind {
    switch CompletionShell.requesting {
    case .bash?:
      .shellCommand(#"if [[ ${positional_number} -le 1 ]]; then compgen -c -- "${cur}"; else compgen -f -- "${cur}"; fi"#)
    case .fish?: .shellCommand("__fish_complete_command")
    // Replaced below: zsh completes a whole command line in place.
    default: .list([])
    }
  }

  private static func commands(separator: String = " ") -> String {
    CommandLineInterface.configuration.subcommands.compactMap { $0.configuration.commandName }.joined(separator: separator)
  }

  private static func bash(_ script: String) -> String {
    let completed = replaced(
      script, "    non_repeating_options=()\n    __mlos_offer_flags_options -1\n}",
      "    non_repeating_options=()\n    __mlos_offer_flags_options -1\n    __mlos_add_completions -W $'\(commands(separator: "\\n"))'\n}"
    )
    // Readline hands over "--sort=res" as three words, or as one where COMP_WORDBREAKS has no "=".
    return replaced(
      completed, "complete -o filenames -F _mlos mlos",
      #"""
      __mlos_split_at_equals() {
          local -a words=()
          local -i index current=0 is_value=0
          local word option=''
          for ((index = 0; index < ${#COMP_WORDS[@]}; index++)); do
              word="${COMP_WORDS[index]}"
              if [[ "${word}" = '=' && ${#words[@]} -gt 0 && "${words[${#words[@]} - 1]}" = --* ]]; then
                  is_value=1
                  [[ ${index} -ne ${COMP_CWORD} ]] && continue
                  word=''
              elif [[ "${word}" = --*=* ]]; then
                  words+=("${word%%=*}")
                  [[ ${index} -eq ${COMP_CWORD} ]] && option="${word%%=*}="
                  word="${word#*=}"
              fi
              [[ ${index} -eq ${COMP_CWORD} ]] && current=${#words[@]}
              words+=("${word}")
          done
          local -a COMP_WORDS=("${words[@]}")
          local -i COMP_CWORD=${current}
          _mlos "${words[0]}" "${words[current]}" "${words[current > 0 ? current - 1 : 0]}"
          [[ -n "${option}" ]] && COMPREPLY=("${COMPREPLY[@]/#/${option}}")
          return 0
      }

      complete -o filenames -F __mlos_split_at_equals mlos
      """#)
  }

  private static func zsh(_ script: String) -> String {
    script.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      let specification = line.drop { $0 == " " }
      if specification.hasPrefix("'*:program:") { return "        '*:: :__mlos_program'" }
      if specification.hasPrefix("'*:subcommands:") { return "        '*:subcommands:(\(commands()))'" }
      // An option with a value: "--sort" and "--sort=" alike.
      guard specification.hasPrefix("'--") || specification.hasPrefix("'*--"), specification.contains("]:"),
        let bracket = line.firstIndex(of: "[")
      else { return String(line) }
      return line[..<bracket] + "=" + line[bracket...]
    }.joined(separator: "\n").replacing(
      "\n_mlos() {",
      with: """

        # A command line of its own, after the "--" if there is one.
        __mlos_program() {
            if [[ "${words[1]}" = -- ]]; then
                shift words
                ((CURRENT--))
            fi
            _normal
        }

        _mlos() {
        """)
  }

  private static func fish(_ script: String) -> String {
    let condition = "__mlos_should_offer_completions_for_positional"
    let program = "complete -c 'mlos' -n '\(condition) \"mlos run\" -ge 1' -fka '(__fish_complete_command)'"
    return replaced(
      script, program,
      "complete -c 'mlos' -n '\(condition) \"mlos run\" -eq 1' -fka '(__fish_complete_command)'\n"
        + "complete -c 'mlos' -n '\(condition) \"mlos run\" -gt 1' -F")
      + "\ncomplete -c 'mlos' -n '\(condition) \"mlos help\" -ge 1' -fka '\(commands())'"
  }

  /// The text without Foundation's help.
  private static func replaced(_ text: String, _ old: String, _ new: String) -> String {
    guard let place = text.firstRange(of: old) else { return text }
    return text.replacingCharacters(in: place, with: new)
  }
}

extension String {
  fileprivate func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
    String(self[..<range.lowerBound]) + text + self[range.upperBound...]
  }
}
