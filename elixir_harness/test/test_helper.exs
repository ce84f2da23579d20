Harness.Leftovers.start()
name = System.get_env("HARNESS_NODE") || "harness_#{System.pid()}@127.0.0.1"
Harness.connect!(name, :"harness-cookie")

unless File.exists?(Harness.Agent.binary()), do: raise("no agent at #{Harness.Agent.binary()}: cargo build")

unless Harness.Engine.answers?(Harness.Engine.docker()),
  do: raise("no container engine answers: script/setup")

rig = Harness.rig!()
:persistent_term.put(:rig, rig)

ExUnit.after_suite(fn _ ->
  Harness.dispose(:persistent_term.get(:rig))
  Harness.Leftovers.kill_all()
end)

ExUnit.start(
  timeout: 120_000,
  max_cases: 1,
  # :systemd, :compose, :install need a machine or images of their own; script/test runs each by itself. :once is what one
  # Elixir is enough for; :machine looks at the outpost's machine more than at the wire, and is left out between the oldest
  # and the newest release.
  exclude:
    if(System.get_env("HARNESS_SHORT"), do: [:once], else: []) ++
      if(System.get_env("HARNESS_BETWEEN"), do: [:machine], else: []) ++ [:systemd, :compose, :install]
)
