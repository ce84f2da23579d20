defmodule Bench.Status do
  @moduledoc "How soon the status of an outpost with many applications is answered, and what looking at them costs it."
  import Bench.Report
  alias Harness.{Agent, Caddy, OsProcess, Wait}

  @at_once 50
  @apps 200
  @calls 300
  @bound 20_000

  def run do
    caddy = Caddy.start!()
    range = Harness.Ports.range(@apps + 10)
    agent = Agent.start!(caddy: caddy, range: range, env: %{"OTTURNAUT_LOG" => "info"})
    names = for n <- 1..@apps, do: "many#{n}-#{Agent.unique()}"

    try do
      names |> Enum.chunk_every(@at_once) |> Enum.each(&Bench.Apps.deploy(agent, &1))
      idle = cost(agent, 30)
      first = agent |> apps() |> hd()

      Wait.until("what each uses", fn -> Enum.all?(apps(agent), & &1.usage) end, 120_000)
      measure("Otturnaut.status/0", fn -> %{apps: %{total: @apps}} = call(agent, :status, []) end)
      measure("Otturnaut.apps/0", fn -> @apps = length(apps(agent)) end)
      measure("Otturnaut.app/1", fn -> {:ok, _} = call(agent, :app, [first.app_id]) end)
      note("processor time while nobody asks", idle)
      note("processor time while usage is looked at", cost(agent, 30))
    after
      Agent.dispose(agent)
      Enum.each(names, &Harness.clean/1)
      Caddy.dispose(caddy)
    end
  end

  defp call(agent, function, args), do: :rpc.call(agent.node, Otturnaut, function, args)
  defp apps(agent), do: call(agent, :apps, [])

  defp measure(name, call) do
    call.()

    times =
      for _ <- 1..@calls do
        {took, _} = :timer.tc(call)
        took
      end

    {half, most} = {median(times), quantile(times, 0.99)}
    value = "#{ms(half)}, p99 #{ms(most)}"
    report("#{name} with #{@apps} apps, p50", value, "p99 <= 20 ms", most <= @bound)
  end

  # Of one processor, in percent.
  defp cost(agent, seconds) do
    before = OsProcess.processor_time(agent.process)
    Process.sleep(seconds * 1000)
    used = OsProcess.processor_time(agent.process) - before
    "#{Float.round(used / seconds / 10_000, 2)} %"
  end
end
