# The node under test and the kind of client are those that HARNESS_TARGET and HARNESS_CLIENT name.
alias Harness.{Leftovers, Reference, Semantics, Target}

Leftovers.start()
name = System.get_env("HARNESS_NODE") || "harness_#{System.pid()}@127.0.0.1"
Harness.connect!(name, :"harness-cookie", hidden: Semantics.hidden?())
if Target.kind() == :reference, do: Reference.build!()
:persistent_term.put(:target, Target.start!())

ExUnit.after_suite(fn _ ->
  Target.dispose(:persistent_term.get(:target))
  Leftovers.kill_all()
end)

# Processes that fail over there say so here: this node has their group leader.
Logger.configure(level: :none)
ExUnit.start(timeout: 30_000, max_cases: 1)
