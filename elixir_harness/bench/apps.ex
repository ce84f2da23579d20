defmodule Bench.Apps do
  @moduledoc "Many applications on one agent: deployed at once, known again after a restart; and how soon a new version answers."
  import Bench.Report
  alias Harness.{Agent, Caddy, OsProcess, Wait}
  alias Otturnaut.{AppState, Deployment}

  @at_once 50
  @apps 200

  def run do
    caddy = Caddy.start!()
    range = Harness.Ports.range(@apps + 10)
    agent = Agent.start!(caddy: caddy, range: range, env: %{"OTTURNAUT_LOG" => "info"})
    names = for n <- 1..@apps, do: "many#{n}-#{Agent.unique()}"

    try do
      [first | others] = Enum.chunk_every(names, @at_once)
      deploy_at_once(agent, caddy, first)
      Enum.each(others, &deploy(agent, &1))
      agent |> restart(names) |> Agent.dispose()
    after
      Enum.each(names, &Harness.clean/1)
      Caddy.dispose(caddy)
    end

    answers()
  end

  defp deploy_at_once(agent, caddy, names) do
    idle = OsProcess.memory(agent.process)
    {took, answers} = :timer.tc(fn -> deploy(agent, names) end)
    peak = OsProcess.memory(agent.process, :peak)
    pages = Enum.count(names, &(Caddy.page(caddy, "#{&1}.localhost") == {:ok, 200, "one\n"}))
    ok = Enum.count(answers, &match?({:ok, %{status: :completed}}, &1))
    value = "#{ok} ok, #{pages} pages"
    report("#{@at_once} apps deployed at once", value, "all", ok == @at_once and pages == @at_once)
    note("  in all", ms(took))
    note("  the agent's peak, resident (idle: #{mib(idle)})", mib(peak))
  end

  @doc "Deploys these applications at once; all answers."
  def deploy(agent, names) do
    names
    |> Enum.map(&Harness.deployment(agent.node, &1))
    |> Enum.map(&Task.async(fn -> execute(agent.node, &1, []) end))
    |> Task.await_many(:infinity)
  end

  defp execute(node, d, opts),
    do: :rpc.call(node, Deployment, :execute, [d, Deployment.Strategy.BlueGreen, %{}, opts])

  # From the start of the process to an answer that has all of them; the connection is part of it.
  defp restart(agent, names) do
    known(agent, names)
    note("resident after #{@apps} deploys", mib(OsProcess.memory(agent.process)))

    {agent, times} =
      Enum.reduce(1..5, {agent, []}, fn _, {agent, times} ->
        0 = Agent.stop(agent, :TERM)
        began = System.monotonic_time(:microsecond)
        agent = Agent.launch(agent)
        Wait.until("a connection", fn -> Node.connect(agent.node) == true end)
        Wait.until("all apps", fn -> known?(agent, names) end, 60_000)
        {agent, [System.monotonic_time(:microsecond) - began | times]}
      end)

    took = median(times)
    all = "#{ms(took)}, max #{ms(Enum.max(times))}"
    report("restart, #{@apps} apps known (median of 5)", all, "<= 1 s", took <= 1_000_000)
    Process.sleep(2_000)
    rss = OsProcess.memory(agent.process)
    report("resident with #{@apps} apps", mib(rss), "<= 15 MiB", rss <= 15 * 1024)
    note("  peak since its start", mib(OsProcess.memory(agent.process, :peak)))
    agent
  end

  defp known(agent, names), do: Wait.until("all apps", fn -> known?(agent, names) end, 60_000)

  # Each running, with the port that requests go to.
  defp known?(agent, names) do
    case :rpc.call(agent.node, AppState, :list, []) do
      apps when is_list(apps) ->
        running = for {name, %{status: :running, port: port}} when is_integer(port) <- apps, do: name
        names -- running == []

      {:badrpc, _} ->
        false
    end
  end

  @doc "From the moment at which the agent knows the new version as healthy to its first answer through Caddy."
  def answers do
    caddy = Caddy.start!()
    agent = Agent.start!(caddy: caddy, env: %{"OTTURNAUT_LOG" => "info"})
    app = "answers-#{Agent.unique()}"
    {:ok, _} = execute(agent.node, Harness.deployment(agent.node, app, env: %{"PAGE" => "v0"}), [])
    times = for n <- 1..12, do: answer(agent, caddy, app, "v#{n}")
    value = "#{ms(median(times))}, max #{ms(Enum.max(times))}"
    note("healthy to the first answer through Caddy (12)", value)
    Agent.dispose(agent)
    Caddy.dispose(caddy)
    Harness.clean(app)
  end

  defp answer(agent, caddy, app, page) do
    d = Harness.deployment(agent.node, app, env: %{"PAGE" => page})
    me = self()
    deploying = Task.async(fn -> execute(agent.node, d, subscriber: me) end)

    healthy =
      receive do
        {:deployment_progress, %{step: :switch_route, deployment_id: id}} when id == d.id ->
          System.monotonic_time(:microsecond)
      after
        60_000 -> raise "it was never healthy"
      end

    wanted = {:ok, 200, page <> "\n"}
    ask(caddy, app, wanted)
    answered = System.monotonic_time(:microsecond)
    {:ok, _} = Task.await(deploying, :infinity)
    answered - healthy
  end

  defp ask(caddy, app, wanted),
    do: if(Caddy.page(caddy, "#{app}.localhost") == wanted, do: :ok, else: ask(caddy, app, wanted))
end
