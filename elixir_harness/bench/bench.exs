# The figures that the agent is held to, each beside its peer or its bound, in one run. `script/bench` runs it.

for file <- [
      "meter.ex",
      "report.ex",
      "calls.ex",
      "raw_peer.ex",
      "apps.ex",
      "logs.ex",
      "status.ex",
      "large.ex"
    ],
    do: Code.require_file(file, __DIR__)

defmodule Bench do
  import Bench.Report
  alias Harness.{Agent, Engine, OsProcess, Wait}

  def binary do
    path = Agent.binary()
    size = File.stat!(path).size
    {kind, _} = System.cmd("ldd", [path], stderr_to_stdout: true)
    static = kind =~ "statically linked" or kind =~ "not a dynamic"

    report(
      "binary",
      "#{Float.round(size / 1024 / 1024, 2)} MiB#{if static, do: ", static"}",
      "<= 12 MiB, static",
      size <= 12 * 1024 * 1024 and static
    )
  end

  def start do
    caddy = Harness.Caddy.start!()
    took = started(caddy: caddy)
    Harness.Caddy.dispose(caddy)
    report("start to connected, EPMD and Caddy up (median of 15)", ms(took), "<= 50 ms", took <= 50_000)
    note("  where no Caddy answers", ms(started([])))
  end

  defp started(options) do
    median(
      for _ <- 1..15 do
        agent = Agent.describe([env: %{"OTTURNAUT_LOG" => "info"}] ++ options)
        began = System.monotonic_time(:microsecond)
        agent = Agent.launch(agent)
        connect(agent.node)
        took = System.monotonic_time(:microsecond) - began
        Agent.dispose(agent)
        took
      end
    )
  end

  defp connect(node), do: if(Node.connect(node) == true, do: :ok, else: connect(node))

  def idle(agent) do
    Process.sleep(2000)
    rss = OsProcess.memory(agent.process)
    report("idle, resident", mib(rss), "<= 10 MiB", rss <= 10 * 1024)
  end

  @lines 2_000_000
  def streaming(agent, peer) do
    rounds =
      for _ <- 1..3 do
        own =
          lines(fn me ->
            :rpc.call(agent.node, Otturnaut.Command, :run_async, ["seq", ["1", "#{@lines}"], [subscriber: me]])
          end)

        beam = lines(fn me -> :rpc.cast(peer.node, Peer.Command, :run, ["seq", ["1", "#{@lines}"], me]) end)
        {own, beam}
      end

    {own, beam} = {median(Enum.map(rounds, &elem(&1, 0))), median(Enum.map(rounds, &elem(&1, 1)))}

    report(
      "command streaming, 2 million lines",
      "#{own}/s, BEAM #{beam}/s",
      ">= 1.0 times BEAM",
      ratio(own, beam) >= 1.0
    )

    peak = OsProcess.memory(agent.process, :peak)
    report("peak resident after it", mib(peak), "<= 25 MiB", peak <= 25 * 1024)
  end

  defp lines(start) do
    me = self()

    counter =
      spawn_link(fn ->
        count = count(0)
        send(me, {:counted, count})
      end)

    {took, :ok} =
      :timer.tc(fn ->
        start.(counter)
        receive do: ({:counted, @lines} -> :ok)
      end)

    round(@lines / (took / 1_000_000))
  end

  defp count(n) do
    receive do
      {:command_output, _, {:stdout, _}} -> count(n + 1)
      {:command_done, _, _} -> n
    end
  end

  def context do
    agent = Agent.start!(env: %{"OTTURNAUT_LOG" => "info"})
    dir = Path.join(System.tmp_dir!(), "otturnaut-bench-#{Agent.unique()}")
    File.mkdir_p!(dir)
    File.write!(Path.join(dir, "Dockerfile"), "FROM scratch\nCOPY small /small\n")
    File.write!(Path.join(dir, "small"), "x")
    for n <- 1..4, do: File.write!(Path.join(dir, "large#{n}"), :crypto.strong_rand_bytes(50 * 1024 * 1024))
    tag = "otturnaut-bench:#{Agent.unique()}"

    {took, {:ok, ^tag}} =
      :timer.tc(fn -> :rpc.call(agent.node, Otturnaut.Runtime.Docker, :build_image, [dir, tag, []]) end)

    peak = OsProcess.memory(agent.process, :peak)
    report("200 MiB build context (#{ms(took)}), peak", mib(peak), "<= 30 MiB", peak <= 30 * 1024)
    Engine.remove_image(Engine.docker(), tag)
    File.rm_rf!(dir)
    Agent.dispose(agent)
  end

  def deploys do
    caddy = Harness.Caddy.start!()
    socket = Path.join(System.tmp_dir!(), "otturnaut-meter-#{Agent.unique()}.sock")
    admin = Harness.Ports.free()
    # Caddy refuses requests for a host that is not its own: the meter's is let in.
    origins = for port <- [caddy.admin_port, admin], do: "127.0.0.1:#{port}"
    Harness.Caddy.load!(caddy, %{admin: %{listen: "127.0.0.1:#{caddy.admin_port}", origins: origins}})
    engine = Bench.Meter.start!({:unix, socket}, {:unix, Engine.docker().socket})
    proxy = Bench.Meter.start!({"127.0.0.1", admin}, {"127.0.0.1", caddy.admin_port})

    env = %{
      "CONTAINER_SOCKET" => socket,
      "CADDY_ADMIN_URL" => "http://127.0.0.1:#{admin}",
      "OTTURNAUT_LOG" => "info"
    }

    agent = Agent.start!(caddy: caddy, env: env)

    {rows, apps} =
      Enum.unzip(for n <- 1..12, do: deploy(agent, {engine, proxy}, "bench#{n}-#{Agent.unique()}"))

    own = median(Enum.map(rows, &elem(&1, 1)))
    total = median(Enum.map(rows, &elem(&1, 0)))
    report("deploy #{ms(total)}, of which the agent's own", ms(own), "<= 2 ms (median of 12)", own <= 2000)
    Enum.each(apps, &Harness.clean/1)
    Agent.dispose(agent)
    Harness.Caddy.dispose(caddy)
    File.rm(socket)
  end

  # The agent's own time: all of it but when the engine or Caddy had a request, and when the application was awaited.
  defp deploy(agent, {engine, proxy}, app) do
    d = Harness.deployment(agent.node, app)
    Enum.each([engine, proxy], &Bench.Meter.take/1)
    me = self()
    from = System.monotonic_time(:microsecond)
    task = Task.async(fn -> Harness.execute(agent.node, d, subscriber: me) end)
    awaited = {step(:health_check), step(:switch_route)}
    {:ok, d} = Task.await(task, 60_000)
    to = System.monotonic_time(:microsecond)
    spans = [awaited | Bench.Meter.take(engine) ++ Bench.Meter.take(proxy)]
    own = to - from - Bench.Meter.covered(spans, from, to)
    :ok = Harness.undeploy(agent.node, d)
    {{to - from, own}, app}
  end

  # When a step began.
  defp step(name) do
    receive do
      {:deployment_progress, %{step: ^name}} -> System.monotonic_time(:microsecond)
    after
      30_000 -> raise "there was no step #{name}"
    end
  end

  def peer do
    node = :"bench_peer_#{System.pid()}@127.0.0.1"
    args = ["--name", "#{node}", "--cookie", "#{Node.get_cookie()}", Path.join(__DIR__, "peer.exs")]
    process = OsProcess.start("elixir", args: args)

    Wait.until("the BEAM peer", fn ->
      Node.connect(node) == true and :rpc.call(node, Peer.State, :get, ["x"]) == {:error, :not_found}
    end)

    %{node: node, process: process}
  end
end

Harness.Leftovers.start()
Harness.connect!("bench_#{System.pid()}@127.0.0.1", :bench)
IO.puts("Elixir #{System.version()}, OTP #{System.otp_release()}, #{System.schedulers_online()} processors\n")
wanted = System.argv()
part = fn name, run -> if wanted == [] or name in wanted, do: run.() end

part.("start", fn ->
  Bench.binary()
  Bench.start()
end)

agent = Harness.Agent.start!(env: %{"OTTURNAUT_LOG" => "info"})
peer = Bench.peer()
part.("start", fn -> Bench.idle(agent) end)
part.("calls", fn -> Bench.Calls.run(agent, peer) end)
Harness.Agent.dispose(agent)

# One of its own: its peak is that of streams.
part.("streams", fn ->
  agent = Harness.Agent.start!(env: %{"OTTURNAUT_LOG" => "info"})
  Bench.streaming(agent, peer)
  Harness.Agent.dispose(agent)
end)

Harness.OsProcess.stop(peer.process, :KILL)
part.("peers", fn -> Bench.Calls.idle_peers() end)
part.("context", fn -> Bench.context() end)
part.("large", fn -> Bench.Large.run() end)
part.("deploys", fn -> Bench.deploys() end)
part.("apps", fn -> Bench.Apps.run() end)
part.("logs", fn -> Bench.Logs.run() end)
part.("status", fn -> Bench.Status.run() end)
Harness.Leftovers.kill_all()
