import Wire

extension Samples {
  var rules: RulesAnswer {
    RulesAnswer(
      takenAt: 1_800_000_012, problem: maybe("/var/lib/mlos/rules.json: empty, and so not whole; the file is left as it is"),
      rules: [
        RuleRow(
          name: "torch-when-idle", isEnabled: true, state: known ? "fired" : "unknown",
          explanation: known ? "fired" : "metric package.torch.idle is not known",
          condition: "memory.level > 0.6 and package.torch.idle > 120s", forSeconds: 30, everySeconds: 60, after: ["night"],
          actions: ["unload torch"], holdsSince: maybe(1_800_000_002), lastFiredAt: maybe(1_800_000_012), firings: known ? 1 : 0,
          heldBack: known
            ? ["allow torch waits 44 s: deny torch of rule 'night' stays that long, since rules turn it to and fro"] : [],
          origin: "/etc/mlos/mlos.yaml:3", isRuntime: false, text: "rules:\n  - name: \"torch-when-idle\"\n")
      ])
  }
}
