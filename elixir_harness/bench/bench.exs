# What script/bench runs: the agent's numbers beside those of a BEAM node, on this machine, in one run.
Code.require_file("relay.exs", __DIR__)

defmodule Bench do
  alias Bench.Relay
  alias Harness.{Agent, BeamNode, Caddy, Engine, Images, OsProcess, Ports}

  @lines 2_000_000
  @quiet %{"OTTURNAUT_LOG" => "info"}

  def run do
    Harness.connect!("bench_#{System.pid()}@127.0.0.1", :"bench-#{Agent.unique()}")
    IO.puts("Elixir #{System.version()}, OTP #{System.otp_release()}, #{System.schedulers_online()} cores")
    Enum.each([&size/0, &start/0, &memory/0, &calls/0, &streams/0, &context/0, &deploys/0], & &1.())
    missed = Process.get(:missed, 0)
    IO.puts("\n#{missed} missed")
    if missed > 0, do: System.halt(1)
  end

  defp size do
    title("The binary")
    bytes = File.stat!(Agent.binary()).size
    target("size", bytes / 1_000_000, "MB", :below, 12)
    {text, _} = System.cmd("ldd", [Agent.binary()], stderr_to_stdout: true)
    static = if text =~ ~r/statically linked|not a dynamic/, do: 1, else: 0
    target("static", static, "(1 is yes)", :above, 1)
  end

  defp start do
    title("From the start of the process to a connection (median of 7)")

    agent =
      for _ <- 1..7, do: connect_time(fn -> Agent.launch(Agent.describe(env: @quiet)) end, &Agent.dispose/1)

    beam = for _ <- 1..7, do: connect_time(&BeamNode.launch/0, &BeamNode.stop/1)
    target("start, agent", median(agent) / 1000, "ms", :below, 100)
    plain("start, bare BEAM node", median(beam) / 1000, "ms")
  end

  defp connect_time(launch, stop) do
    begun = Relay.now()
    launched = launch.()
    connect(launched.node, begun + 30_000_000)
    took = Relay.now() - begun
    stop.(launched)
    took
  end

  defp connect(node, deadline) do
    if Relay.now() > deadline, do: raise("#{node} cannot be reached")

    unless Node.connect(node) == true do
      Process.sleep(1)
      connect(node, deadline)
    end
  end

  defp memory do
    title("Resident memory, idle and connected")
    agent = Agent.start!(env: @quiet)
    beam = BeamNode.start!()
    target("memory, agent", OsProcess.memory(agent.process) / 1000 * 1.024, "MB", :below, 10)
    plain("memory, bare BEAM node", beam_memory(beam, "VmRSS") / 1000 * 1.024, "MB")
    Process.put(:pair, {agent, beam})
  end

  defp calls do
    title("Calls")
    {agent, beam} = Process.get(:pair)

    app = %{
      deployment_id: "d",
      container_name: "c",
      port: 10_000,
      domains: ["a.example.com"],
      status: :running
    }

    :ok = :rpc.call(agent.node, Otturnaut.AppState, :put, ["bench", app])
    :ok = :rpc.call(beam.node, BeamNode, :put, ["bench", app])
    ours = fn -> {:ok, %{port: 10_000}} = :rpc.call(agent.node, Otturnaut.AppState, :get, ["bench"]) end
    theirs = fn -> {:ok, %{port: 10_000}} = :rpc.call(beam.node, BeamNode, :get, ["bench"]) end
    # In turns, so that a busy moment of the machine meets both.
    rounds = for _ <- 1..5, do: {latency(ours), latency(theirs), throughput(ours), throughput(theirs)}
    column = fn n -> rounds |> Enum.map(&elem(&1, n)) |> median() end
    plain("rpc p50, BEAM", column.(1), "us")
    target("rpc p50, agent", column.(0), "us", :below, column.(1))
    plain("calls a second from 64 callers, BEAM", column.(3), "/s")
    target("calls a second from 64 callers, agent", column.(2), "/s", :above, column.(3))
  end

  defp latency(call) do
    for(_ <- 1..2_000, do: call |> :timer.tc() |> elem(0)) |> median()
  end

  defp throughput(call) do
    each = 1_000

    {micros, _} =
      :timer.tc(fn ->
        1..64
        |> Enum.map(fn _ -> Task.async(fn -> for _ <- 1..each, do: call.() end) end)
        |> Task.await_many(120_000)
      end)

    64 * each * 1_000_000 / micros
  end

  defp streams do
    title("#{@lines} lines of a command, streamed to a subscriber on another node")
    {agent, beam} = Process.get(:pair)
    args = ["#{@lines}"]
    theirs = stream(fn me -> :rpc.call(beam.node, BeamNode, :stream, ["seq", args, me]) end)

    ours =
      stream(fn me ->
        :rpc.call(agent.node, Otturnaut.Command, :run_async, ["seq", args, [subscriber: me]])
      end)

    plain("lines a second, BEAM", theirs, "/s")
    target("lines a second, agent", ours, "/s", :above, theirs)
    plain("peak memory, BEAM", beam_memory(beam, "VmHWM") / 1000 * 1.024, "MB")
    target("peak memory, agent", OsProcess.memory(agent.process, :peak) / 1000 * 1.024, "MB", :below, 32)
    Agent.dispose(agent)
    BeamNode.stop(beam)
  end

  defp stream(begin) do
    begun = Relay.now()
    {:ok, runner} = begin.(self())
    @lines = count(runner, 0)
    @lines * 1_000_000 / (Relay.now() - begun)
  end

  defp count(runner, lines) do
    receive do
      {:command_output, ^runner, _} -> count(runner, lines + 1)
      {:command_done, ^runner, _} -> lines
    after
      60_000 -> raise "the stream stopped at line #{lines}"
    end
  end

  defp context do
    title("An image from a context of 200 MiB")
    agent = Agent.start!(env: @quiet)
    dir = Path.join(System.tmp_dir!(), "otturnaut-context-#{Agent.unique()}")
    File.mkdir_p!(dir)
    File.write!(Path.join(dir, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n")
    megabyte = :crypto.strong_rand_bytes(1_048_576)

    File.open!(Path.join(dir, "large"), [:write, :raw], fn file ->
      for _ <- 1..200, do: :file.write(file, megabyte)
    end)

    tag = "otturnaut-bench:#{Agent.unique()}"

    {micros, {:ok, ^tag}} =
      :timer.tc(fn ->
        Harness.call(agent.node, Otturnaut.Runtime.Docker, :build_image, [dir, tag], 300_000)
      end)

    plain("time", micros / 1_000_000, "s")
    target("peak memory, agent", OsProcess.memory(agent.process, :peak) / 1000 * 1.024, "MB", :below, 32)
    Engine.remove_image(Engine.docker(), tag)
    File.rm_rf!(dir)
    Agent.dispose(agent)
  end

  @deploys 20

  defp deploys do
    title("#{@deploys} deploys: the time that neither the engine nor Caddy nor the application took (median)")
    caddy = Caddy.start!()
    socket = Path.join(System.tmp_dir!(), "otturnaut-relay-#{Agent.unique()}.sock")
    port = Ports.free()

    tables = [
      Relay.start({:unix, socket}, {:unix, Engine.docker().socket}),
      Relay.start({:tcp, port}, {:tcp, caddy.admin_port})
    ]

    env = Map.merge(@quiet, %{"CONTAINER_SOCKET" => socket, "CADDY_ADMIN_URL" => "http://127.0.0.1:#{port}"})
    agent = Agent.start!(caddy: caddy, env: env)
    Images.web()
    times = for n <- 1..@deploys, do: deploy(agent, tables, "bench-#{n}")
    plain("a deploy as a whole", times |> Enum.map(&elem(&1, 0)) |> median() |> Kernel./(1000), "ms")

    plain(
      "of which the application until it answers",
      times |> Enum.map(&elem(&1, 1)) |> median() |> Kernel./(1000),
      "ms"
    )

    plain(
      "of which the engine and Caddy",
      times |> Enum.map(&elem(&1, 2)) |> median() |> Kernel./(1000),
      "ms"
    )

    target(
      "of which the agent",
      times |> Enum.map(&elem(&1, 3)) |> median() |> Kernel./(1000),
      "ms",
      :below,
      4
    )

    Agent.dispose(agent)
    Caddy.dispose(caddy)
    File.rm(socket)
  end

  defp deploy(agent, tables, app) do
    deployment = Harness.deployment(agent.node, app)
    Enum.each(tables, &:ets.delete_all_objects/1)
    me = self()
    begun = Relay.now()
    task = Task.async(fn -> {Harness.execute(agent.node, deployment, subscriber: me), Relay.now()} end)
    health = step_at(:health_check)
    switch = step_at(:switch_route)
    {{:ok, deployed}, ended} = Task.await(task, 60_000)
    # While the application is awaited it counts as busy, whatever else goes on.
    spans = for {from, to} <- Relay.busy(tables), to > begun, from < ended, do: {from, to}
    all = Relay.union([{health, switch} | spans])
    :ok = Harness.undeploy(agent.node, deployed)
    total = ended - begun
    {total, switch - health, all - (switch - health), total - all}
  end

  defp step_at(step) do
    receive do
      {:deployment_progress, %{step: ^step}} -> Relay.now()
    after
      30_000 -> raise "there was no step #{step}"
    end
  end

  defp beam_memory(beam, key) do
    [_, kib] = Regex.run(~r/#{key}:\s+(\d+) kB/, File.read!("/proc/#{BeamNode.os_pid(beam)}/status"))
    String.to_integer(kib)
  end

  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))

  defp title(text), do: IO.puts("\n#{text}")
  defp plain(name, value, unit), do: IO.puts("  " <> line(name, value, unit))

  defp target(name, value, unit, kind, limit) do
    met = if kind == :below, do: value <= limit, else: value >= limit
    unless met, do: Process.put(:missed, Process.get(:missed, 0) + 1)
    word = if kind == :below, do: "at most", else: "at least"
    IO.puts("  #{line(name, value, unit)}  #{if met, do: "OK  ", else: "MISS"} (#{word} #{number(limit)})")
  end

  defp line(name, value, unit),
    do: String.pad_trailing(name, 44) <> String.pad_leading(number(value), 12) <> " #{unit}"

  defp number(value) when is_integer(value), do: to_string(value)
  defp number(value) when value >= 1000, do: value |> round() |> to_string()
  defp number(value), do: :erlang.float_to_binary(value, decimals: 1)
end

Bench.run()
