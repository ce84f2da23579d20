defmodule Bench.Calls do
  @moduledoc "Calls of the agent beside the same calls of a BEAM node that serves the same functions, round by round."
  import Bench.Report
  alias Harness.OsProcess

  @callers 64
  @apps 1_000

  def run(agent, peer) do
    latency(agent, peer, "erlang:system_time/0", {:erlang, :system_time, []}, {:erlang, :system_time, []})
    latency(agent, peer, "AppState.get", {Otturnaut.AppState, :get, ["no"]}, {Peer.State, :get, ["no"]})
    rpc = fn node, {m, f, a} -> :rpc.call(node, m, f, a) end

    throughput(agent, peer, "rpc erlang:system_time/0", 500, 1.3, fn node ->
      rpc.(node, {:erlang, :system_time, []})
    end)

    throughput(agent, peer, "rpc AppState.get", 500, 1.3, fn node ->
      rpc.(node, {own(node, agent, Otturnaut.AppState, Peer.State), :get, ["no"]})
    end)

    throughput(agent, peer, "GenServer.call", 500, 1.1, fn node ->
      GenServer.call({own(node, agent, Otturnaut.AppState, Peer.State), node}, {:get, "no"})
    end)

    for {size, name, each} <- [{64 * 1024, "64 KiB", 60}, {1024 * 1024, "1 MiB", 6}] do
      bytes = :binary.copy("x", size)
      throughput(agent, peer, "echo of #{name}", each, 1.0, fn node -> rpc.(node, echo(bytes)) end)
    end

    list(agent, peer)
  end

  # A function of Erlang's own that both have and that gives back what it was given.
  defp echo(term), do: {:application, :get_env, [:bench, :nothing, term]}

  defp own(node, %{node: node}, module, _), do: module
  defp own(_, _, _, module), do: module

  defp latency(agent, peer, name, ours, theirs) do
    rounds = for _ <- 1..7, do: {times(agent.node, ours), times(peer.node, theirs)}

    for {part, label} <- [{0.5, "p50"}, {0.99, "p99"}] do
      own = median(Enum.map(rounds, &quantile(elem(&1, 0), part)))
      beam = median(Enum.map(rounds, &quantile(elem(&1, 1), part)))

      report(
        "rpc #{name}, one caller, #{label}",
        "#{own} us, BEAM #{beam} us",
        "<= 1.0 times BEAM",
        own <= beam
      )
    end
  end

  defp times(node, {m, f, a}) do
    for _ <- 1..2000, do: elem(:timer.tc(fn -> :rpc.call(node, m, f, a) end), 0)
  end

  defp throughput(agent, peer, name, each, wanted, call) do
    rounds = for _ <- 1..5, do: {rate(agent, each, call), rate(peer, each, call)}
    [own, beam] = for at <- [0, 1], do: rounds |> Enum.map(&elem(elem(&1, at), 0)) |> median()

    # The ratio of one round compares what ran side by side; the median of the rounds leaves out a disturbed one.
    times = rounds |> Enum.map(fn {{own, _}, {beam, _}} -> own / beam end) |> median() |> Float.round(2)
    value = "#{own}/s, BEAM #{beam}/s: #{times}"
    report("#{name}, #{@callers} callers", value, ">= #{wanted} times BEAM", times >= wanted)
    [own, beam] = for at <- [0, 1], do: rounds |> Enum.map(&elem(elem(&1, at), 1)) |> median() |> round()
    note("  processor time a call", "#{own} us, BEAM #{beam} us")
  end

  # Calls a second, and microseconds of the node's processor time a call.
  defp rate(%{node: node, process: process}, each, call) do
    run = fn -> for _ <- 1..each, do: call.(node) end
    before = OsProcess.processor_time(process)

    {took, _} =
      :timer.tc(fn -> 1..@callers |> Enum.map(fn _ -> Task.async(run) end) |> Task.await_many(120_000) end)

    used = OsProcess.processor_time(process) - before
    {round(@callers * each / (took / 1_000_000)), used / (@callers * each)}
  end

  defp list(agent, peer) do
    for n <- 1..@apps do
      app = Bench.Calls.app(n)
      :ok = :rpc.call(agent.node, Otturnaut.AppState, :put, ["app-#{n}", app])
      :ok = :rpc.call(peer.node, Peer.State, :put, ["app-#{n}", app])
    end

    pairs = {{Otturnaut.AppState, :list, []}, {Peer.State, :list, []}}
    @apps = length(:rpc.call(agent.node, Otturnaut.AppState, :list, []))
    rounds = for _ <- 1..5, do: {some(agent.node, elem(pairs, 0)), some(peer.node, elem(pairs, 1))}
    own = rounds |> Enum.map(&elem(&1, 0)) |> median()
    beam = rounds |> Enum.map(&elem(&1, 1)) |> median()

    report(
      "AppState.list, #{@apps} apps, p50",
      "#{own} us, BEAM #{beam} us",
      "<= 1.0 times BEAM",
      own <= beam
    )

    for n <- 1..@apps, do: :rpc.call(agent.node, Otturnaut.AppState, :delete, ["app-#{n}"])
  end

  defp some(node, {m, f, a}) do
    median(for _ <- 1..100, do: elem(:timer.tc(fn -> :rpc.call(node, m, f, a) end), 0))
  end

  @doc "The state of an application, as a deploy writes it."
  def app(n) do
    %{
      deployment_id: "d#{n}-#{:erlang.phash2(n)}",
      container_name: "otturnaut-app-#{n}-d#{n}",
      port: 10_000 + n,
      domains: ["app-#{n}.example.com", "www.app-#{n}.example.com"],
      status: :running
    }
  end

  @peers 100
  @doc "What a peer that is connected and says nothing costs: peers that speak the protocol and are nothing else."
  def idle_peers do
    agent =
      Harness.Agent.start!(
        env: %{"OTTURNAUT_LOG" => "info", "OTTURNAUT_DIST_PORT" => "#{port = Harness.Ports.free()}"}
      )

    Process.sleep(1_000)
    before = OsProcess.memory(agent.process)
    peers = for n <- 1..@peers, do: Bench.RawPeer.connect!(port, "raw#{n}@127.0.0.1", agent.cookie)
    connected = length(:rpc.call(agent.node, :erlang, :nodes, [:connected]))
    true = connected > @peers
    Process.sleep(1_000)
    each = (OsProcess.memory(agent.process) - before) / @peers
    report("an idle peer, of #{@peers}", "#{Float.round(each, 1)} KiB", "< 50 KB", each * 1024 < 50_000)
    Enum.each(peers, &:gen_tcp.close/1)
    Harness.Agent.dispose(agent)
  end
end
