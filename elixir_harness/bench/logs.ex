defmodule Bench.Logs do
  @moduledoc "Log streams: how many lines a second beside a raw reader of the engine's API, how late a line is, what streams cost."
  import Bench.Report
  alias Harness.{Agent, Caddy, Engine, OsProcess, Wait}
  alias Otturnaut.Logs

  @lines 1_000_000
  @rounds 5
  @line "a line of an application that has something to say"
  @samples 2_000

  def run do
    caddy = Caddy.start!()
    agent = Agent.start!(caddy: caddy, env: %{"OTTURNAUT_LOG" => "info"})
    apps = for _ <- 1..3, do: "logs-#{Agent.unique()}"

    try do
      [throughput, latency, memory] = apps
      throughput(agent, throughput)
      latency(agent, latency)
      Agent.dispose(agent)
      memory(caddy, memory)
    after
      Enum.each(apps, &Harness.clean/1)
      Caddy.dispose(caddy)
    end
  end

  # Both read the whole log of one container, one after the other.
  defp throughput(agent, app) do
    script = "/bin/busybox yes '#{@line}' | /bin/busybox head -n #{@lines}; echo end"
    d = deploy(agent, app, script)
    Wait.until("all lines", fn -> match?({:ok, [{_, "end"}]}, tail(agent, app, 1)) end, 120_000)

    rounds =
      for _ <- 1..@rounds do
        {raw(d.container_id), streamed(agent, app)}
      end

    {raw, own} = {median(Enum.map(rounds, &elem(&1, 0))), median(Enum.map(rounds, &elem(&1, 1)))}
    share = Float.round(raw / own, 2)
    per_second = &round(@lines / (&1 / 1_000_000))

    report(
      "log of a million lines to one subscriber",
      "#{per_second.(own)}/s, engine #{per_second.(raw)}/s",
      ">= 0.9 times the engine",
      share >= 0.9
    )

    note("  times the engine", "#{share}")
    note("  peak resident", mib(OsProcess.memory(agent.process, :peak)))
  end

  # The engine's answer, read and thrown away.
  defp raw(container) do
    path = "/containers/#{container}/logs?stdout=1&stderr=1&timestamps=1&tail=all"

    {:ok, socket} =
      :gen_tcp.connect({:local, Engine.docker().socket}, 0, [:binary, active: false, buffer: 262_144])

    {took, :ok} =
      :timer.tc(fn ->
        :ok = :gen_tcp.send(socket, "GET #{path} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n")
        drain(socket)
      end)

    took
  end

  defp drain(socket) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, _} -> drain(socket)
      {:error, :closed} -> :ok
    end
  end

  defp streamed(agent, app) do
    me = self()
    counter = spawn_link(fn -> send(me, {:counted, count(0)}) end)

    {took, count} =
      :timer.tc(fn ->
        {:ok, _} = :rpc.call(agent.node, Logs, :stream, [app, counter, [follow: false, tail: :all]])
        receive do: ({:counted, count} -> count)
      end)

    true = count >= @lines
    took
  end

  defp count(n) do
    receive do
      {:log_output, _, {:stdout, _}} -> count(n + 1)
      {:log_done, _, :eof} -> n
    end
  end

  # Each line says when it was written.
  defp latency(agent, app) do
    # One `ts` a line: it says what it has when it ends.
    script = "while true; do echo x | /bin/busybox ts '%.s'; /bin/busybox usleep 5000; done"
    deploy(agent, app, script)
    {:ok, pid} = :rpc.call(agent.node, Logs, :stream, [app, self(), [tail: 0]])
    times = for _ <- 1..@samples, do: late(pid)
    :ok = :rpc.call(agent.node, Logs, :stop, [pid])
    {p50, p99} = {quantile(times, 0.5), quantile(times, 0.99)}
    note("a container's line to its message, p50 and p99", "#{ms(p50)}, #{ms(p99)}")
    {p50, p99} = beside(app)
    note("  the same read from the engine itself", "#{ms(p50)}, #{ms(p99)}")
  end

  defp late(pid) do
    receive do
      {:log_output, ^pid, {:stdout, <<digit, _::binary>> = line}} when digit in ?0..?9 -> since(line)
      {:log_output, ^pid, _} -> late(pid)
    after
      10_000 -> raise "the container says nothing"
    end
  end

  defp since(line) do
    now = System.os_time(:microsecond)
    [_, seconds, microseconds] = Regex.run(~r/^(\d{10})\.(\d{6})/, line)
    now - String.to_integer(seconds) * 1_000_000 - String.to_integer(microseconds)
  end

  # What of it is the engine's.
  defp beside(app) do
    [%{"Id" => id}] = Engine.containers(Engine.docker(), app)
    path = "/containers/#{id}/logs?stdout=1&follow=1&tail=0"
    {:ok, socket} = :gen_tcp.connect({:local, Engine.docker().socket}, 0, [:binary, active: false])
    :ok = :gen_tcp.send(socket, "GET #{path} HTTP/1.1\r\nhost: engine\r\n\r\n")
    {:ok, _head} = :gen_tcp.recv(socket, 0)
    times = pieces(socket, [])
    :gen_tcp.close(socket)
    {quantile(times, 0.5), quantile(times, 0.99)}
  end

  defp pieces(_, times) when length(times) >= @samples, do: times

  defp pieces(socket, times) do
    {:ok, piece} = :gen_tcp.recv(socket, 0)
    pieces(socket, for([time] <- Regex.scan(~r/\d{10}\.\d{6}/, piece), do: since(time)) ++ times)
  end

  # Streams of a container that says as much as it can, to a reader that does not read.
  defp memory(caddy, app) do
    for streams <- [1, 20, 100] do
      agent = Agent.start!(caddy: caddy, env: %{"OTTURNAUT_LOG" => "info"})

      script =
        "/bin/busybox yes '#{@line}' | /bin/busybox head -n 2000000; while true; do /bin/busybox sleep 1; done"

      deploy(agent, app, script)
      peer = Harness.Peer.start!()
      hoard = Harness.Peer.call(peer, :erlang, :spawn, [:timer, :sleep, [:infinity]])
      os_pid = to_string(Harness.Peer.call(peer, :os, :getpid, []))
      before = OsProcess.memory(agent.process)
      System.cmd("kill", ["-STOP", os_pid])

      for _ <- 1..streams,
          do: {:ok, _} = :rpc.call(agent.node, Logs, :stream, [app, hoard, [tail: :all]])

      Process.sleep(5_000)
      took = OsProcess.memory(agent.process, :peak) - before
      # 256 KiB each, and what the link of them all may hold.
      most = streams * 256 + 2_048

      report(
        "#{streams} streams that nobody reads (idle #{mib(before)})",
        "+ #{mib(took)}",
        "<= #{mib(most)}",
        took <= most
      )

      System.cmd("kill", ["-KILL", os_pid])
      Agent.dispose(agent)
    end
  end

  defp deploy(agent, app, script) do
    env = %{"PAGE" => "one", "SAY" => script}
    {:ok, d} = Harness.deploy(agent.node, app, %{env: env})
    d
  end

  defp tail(agent, app, count), do: :rpc.call(agent.node, Logs, :tail, [app, count])
end
