# The agent under work for a while: streams, deploys, kills. `script/soak` runs it.

Code.require_file("report.ex", __DIR__)

defmodule Soak do
  @moduledoc "Work that goes on until it is told to stop, each kind in a process of its own, and a look at the agent meanwhile."
  import Bench.Report
  alias Harness.{Agent, Engine, OsProcess}
  alias Otturnaut.{AppState, Events, Logs}

  @chatty 4
  @streams 20
  @look 5_000

  def run(seconds) do
    Harness.connect!("soak_#{Agent.unique()}@127.0.0.1", :"soak-#{Agent.unique()}")
    rig = Harness.rig!(env: %{"OTTURNAUT_LOG" => "info"})
    apps = for n <- 1..@chatty, do: "soak#{n}-#{Agent.unique()}"
    own = "soak-deployed-#{Agent.unique()}"

    try do
      for app <- apps, do: {:ok, _} = chatty(rig.agent.node, app)
      counts = :counters.new(5, [])
      workers = workers(rig, apps, own, counts)
      samples = watch(rig.agent, System.monotonic_time(:second) + seconds, [])
      for worker <- workers, do: stop(worker)
      quiet(rig.agent)
      verdict(rig.agent, samples, counts, seconds)
    after
      Harness.dispose(rig, [own | apps])
    end
  end

  # Says a line every few milliseconds, on both outputs.
  defp chatty(node, app) do
    script =
      "while true; do for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i of the log; echo error $i >&2; done; usleep 20000; done"

    image = image(script)
    Harness.deploy(node, app, %{image: image, domains: [], env: %{}})
  end

  defp image(script) do
    tag = "otturnaut-soak:#{:erlang.phash2(script)}"

    unless Engine.image?(Engine.docker(), tag) do
      Harness.Images.in_context(fn dir ->
        File.write!(
          Path.join(dir, "start"),
          "#!/bin/busybox sh\ntrap 'exit 0' TERM\nexport PATH=/bin\n#{busy(script)}\n"
        )

        Engine.build!(Engine.docker(), dir, tag)
      end)
    end

    tag
  end

  # The image has busybox alone.
  defp busy(script), do: String.replace(script, "usleep", "/bin/busybox usleep")

  defp workers(rig, apps, own, counts) do
    node = rig.agent.node

    streams =
      for n <- 1..@streams, do: forever(fn -> stream(node, Enum.at(apps, rem(n, @chatty)), n, counts) end)

    deploys = forever(fn -> deploy(node, own, counts) end)
    kills = forever(fn -> kill(rig, apps, counts) end)
    events = spawn(fn -> subscribe(node, counts) end)
    [events, deploys, kills | streams]
  end

  defp forever(work) do
    spawn(fn -> Stream.repeatedly(work) |> Stream.run() end)
  end

  # A stream that takes so many lines, then is stopped, killed, or left by a subscriber that ends.
  defp stream(node, app, n, counts) do
    {pid, ref} =
      spawn_monitor(fn ->
        case Harness.call(node, Logs, :stream, [app, self(), [tail: 10, follow_app: rem(n, 2) == 0]]) do
          {:ok, stream} ->
            take(stream, 200 + :rand.uniform(2_000), counts)
            leave(node, stream, rem(n + :rand.uniform(3), 3))

          # Killed a moment ago.
          {:error, _} ->
            Process.sleep(100)
        end
      end)

    receive do
      {:DOWN, ^ref, :process, ^pid, _} -> :counters.add(counts, 1, 1)
    end
  end

  defp take(_stream, 0, _counts), do: :ok

  defp take(stream, left, counts) do
    receive do
      {:log_output, ^stream, _} ->
        :counters.add(counts, 2, 1)
        take(stream, left - 1, counts)

      {:log_marker, ^stream, _} ->
        take(stream, left, counts)

      {:log_done, ^stream, _} ->
        :ok
    after
      30_000 -> :ok
    end
  end

  defp leave(node, stream, 0), do: Harness.call(node, Logs, :stop, [stream])
  defp leave(_node, stream, 1), do: Process.exit(stream, :kill)
  defp leave(_node, _stream, _), do: :ok

  defp deploy(node, app, counts) do
    page = "#{System.unique_integer([:positive])}"

    # One in five never becomes well.
    attrs =
      if :rand.uniform(5) == 1,
        do: %{env: %{"PAGE" => page, "EXIT_AFTER" => "0.2"}},
        else: %{env: %{"PAGE" => page}}

    case Harness.deploy(node, app, attrs) do
      {:ok, _} -> :counters.add(counts, 3, 1)
      {:error, _, _} -> :counters.add(counts, 3, 1)
    end

    if :rand.uniform(4) == 1, do: Harness.call(node, Otturnaut.Deployment, :rollback, [app])
  end

  defp kill(rig, apps, counts) do
    Process.sleep(3_000)
    app = Enum.random(apps)

    case Harness.call(rig.agent.node, AppState, :get, [app]) do
      {:ok, %{container_name: name}} ->
        Engine.kill(Engine.docker(), name)
        Process.sleep(500)
        Engine.start(Engine.docker(), name)
        :counters.add(counts, 4, 1)

      _ ->
        :ok
    end
  end

  defp subscribe(node, counts) do
    {:ok, _} = Harness.call(node, Events, :subscribe, [self()])
    count_events(counts)
  end

  defp count_events(counts) do
    receive do
      {:otturnaut_event, _, _} -> :counters.add(counts, 5, 1)
    end

    count_events(counts)
  end

  defp stop(worker) do
    Process.exit(worker, :kill)
  end

  defp watch(agent, until, samples) do
    if System.monotonic_time(:second) >= until do
      Enum.reverse(samples)
    else
      Process.sleep(@look)
      watch(agent, until, [OsProcess.memory(agent.process) | samples])
    end
  end

  # What was begun ends by itself.
  defp quiet(agent) do
    idle? = fn ->
      Harness.call(agent.node, Otturnaut.Deployment, :list, []) == [] and
        Harness.call(agent.node, Task.Supervisor, :children, [Logs.Supervisor]) != nil and
        streams(agent.node) == 0
    end

    Harness.Wait.until("the streams and deploys to end", idle?, 120_000)
  end

  defp streams(node), do: length(Task.Supervisor.children({Logs.Supervisor, node}))

  defp verdict(agent, samples, counts, seconds) do
    [streams, lines, deploys, kills, events] = for n <- 1..5, do: :counters.get(counts, n)

    note(
      "#{seconds} s of work",
      "#{streams} streams, #{lines} lines, #{deploys} deploys, #{kills} kills, #{events} events"
    )

    # What is made on first use has been made by then.
    third = max(1, div(length(samples), 3))
    first = samples |> Enum.take(2 * third) |> Enum.drop(third) |> median()
    last = samples |> Enum.take(-third) |> median()
    flat = last <= first * 1.1 + 1024
    report("memory, second third and last", "#{mib(first)}, #{mib(last)}", "flat (10 % + 1 MiB)", flat)
    peak = OsProcess.memory(agent.process, :peak)
    note("peak", mib(peak))
    done = streams > 0 and lines > 0 and deploys > 0 and kills > 0 and events > 0
    left = streams(agent.node)
    report("streams left when all is quiet", "#{left}", "0", left == 0)
    unless flat and done and left == 0, do: System.halt(1)
  end
end

[seconds] = System.argv()
Soak.run(String.to_integer(seconds))
