defmodule LogsTest do
  @moduledoc "Otturnaut.Logs: streams that follow, go on and end; what is kept of containers that are gone; slow readers."
  use Harness.Case

  alias Harness.Relay
  alias Otturnaut.Logs

  @long 30_000
  @tick "i=0; while true; do i=$((i+1)); echo tick $i; /bin/busybox sleep 0.05; done"

  defp say(script, more \\ %{}), do: Map.put(more, :env, %{"PAGE" => "one", "SAY" => script})
  defp stream(node, app, opts \\ []), do: call(node, Logs, :stream, [app, self(), opts])
  defp tail(node, app, n, opts \\ []), do: call(node, Logs, :tail, [app, n, opts])
  defp texts({:ok, lines}), do: for(line <- lines, do: elem(line, if(tuple_size(line) == 2, do: 1, else: 2)))

  # The lines of a stream up to its end, and how it ended. Markers are lines of their own.
  defp all(pid, got \\ []) do
    receive do
      {:log_output, ^pid, line} -> all(pid, [line | got])
      {:log_marker, ^pid, what} -> all(pid, [{:marker, what} | got])
      {:log_done, ^pid, how} -> {Enum.reverse(got), how}
    after
      @long -> flunk("the stream does not end, its last lines: #{inspect(Enum.take(got, 3))}")
    end
  end

  # The lines of a stream up to the first one that is wanted.
  defp up_to(pid, wanted, got \\ []) do
    receive do
      {:log_output, ^pid, line} ->
        if wanted.(line), do: Enum.reverse([line | got]), else: up_to(pid, wanted, [line | got])

      {:log_marker, ^pid, what} ->
        if wanted.({:marker, what}),
          do: Enum.reverse([{:marker, what} | got]),
          else: up_to(pid, wanted, [{:marker, what} | got])

      {:log_done, ^pid, how} ->
        flunk("it ended (#{inspect(how)}) after #{inspect(Enum.take(got, 3))}")
    after
      @long -> flunk("not what was wanted, but #{inspect(Enum.take(got, 3))}")
    end
  end

  defp text?(line, text), do: is_tuple(line) and elem(line, tuple_size(line) - 1) == text
  defp wait_line(node, app, text), do: Wait.until(text, fn -> text in texts(tail(node, app, 1000)) end, @long)
  defp gone?(node, pid), do: not call(node, :erlang, :is_process_alive, [pid])

  describe "what is there" do
    test "the last lines, both streams told apart, with times and cursors when asked for", %{
      node: node,
      app: app
    } do
      script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf 'no end'"
      assert {:ok, _} = deploy(node, app, say(script))
      wait_line(node, app, "out 3")
      Wait.until("stderr", fn -> {:stderr, "err 3"} in elem(tail(node, app, 100), 1) end, @long)
      assert {:ok, lines} = call(node, Logs, :tail, [app])
      assert ["starting one", "out 1", "out 2", "out 3" | _] = for({:stdout, line} <- lines, do: line)
      assert ["err 1", "err 2", "err 3"] == for({:stderr, line} <- lines, do: line)
      assert length(elem(tail(node, app, 2), 1)) == 2
      assert {:ok, []} == tail(node, app, 0)

      assert {:ok, [{source, %DateTime{} = at, line} | _]} = tail(node, app, 100, timestamps: true)
      assert source in [:stdout, :stderr] and is_binary(line)
      assert abs(DateTime.diff(at, DateTime.utc_now())) < 120
      assert {:ok, [{_, %DateTime{}, _, cursor} | _]} = tail(node, app, 100, cursors: true)
      assert cursor =~ ~r/^[\w-]+$/

      assert {:ok, []} == tail(node, app, 100, since: DateTime.add(DateTime.utc_now(), 60))
      assert {:ok, []} == tail(node, app, 100, until: System.os_time(:second) - 3600)
      assert length(elem(tail(node, app, 100, since: System.os_time(:second) - 3600), 1)) >= 7
    end

    test "a stream without follow ends with what is there", %{node: node, app: app} do
      assert {:ok, _} = deploy(node, app, say("for i in 1 2 3; do echo line $i; done"))
      wait_line(node, app, "line 3")
      assert {:ok, pid} = stream(node, app, follow: false)
      assert {lines, :eof} = all(pid)
      assert ["starting one", "line 1", "line 2", "line 3"] == for({:stdout, line} <- lines, do: line)
      assert {:ok, pid} = stream(node, app, follow: false, tail: 2)
      assert {[{:stdout, "line 2"}, {:stdout, "line 3"}], :eof} == all(pid)
      assert {:ok, pid} = stream(node, app, until: System.os_time(:second) - 3600, tail: :all)
      assert {[], :eof} == all(pid)
    end

    test "long lines come in pieces that are marked, junk is made readable", %{node: node, app: app} do
      script = """
      s=x; i=0; while [ $i -lt 15 ]; do s=$s$s; i=$((i+1)); done
      echo $s$s; echo $s$s$s; printf 'a\\377\\000\\303\\244b\\r\\n'; echo end
      """

      assert {:ok, _} = deploy(node, app, say(script))
      wait_line(node, app, "end")
      assert {:ok, pid} = stream(node, app, follow: false, tail: :all)
      {lines, :eof} = all(pid)
      whole = String.duplicate("x", 65_536)
      rest = String.duplicate("x", 32_768)

      assert [
               {:stdout, "starting one"},
               {:stdout, ^whole},
               {:stdout, ^whole},
               {:marker, {:continues, :stdout}},
               {:stdout, ^rest},
               {:stdout, "a\u{FFFD}\0äb"},
               {:stdout, "end"}
             ] = lines

      assert {:ok, again} = tail(node, app, 3)
      assert [rest, "a\u{FFFD}\0äb", "end"] == for({:stdout, line} <- again, do: line)
    end
  end

  describe "follow" do
    test "lines come as they are said, in order, until it is stopped", %{node: node, app: app} do
      assert {:ok, _} = deploy(node, app, say(@tick))
      wait_line(node, app, "tick 3")
      assert {:ok, pid} = stream(node, app, tail: :all)
      [{:stdout, "starting one"} | ticks] = up_to(pid, &text?(&1, "tick 20"))
      assert ticks == for(i <- 1..20, do: {:stdout, "tick #{i}"})
      assert pid in Task.Supervisor.children({Otturnaut.Logs.Supervisor, node})
      assert :ok == call(node, Logs, :stop, [pid])
      assert {_, :stopped} = all(pid)
      assert gone?(node, pid)
      assert :ok == call(node, Logs, :stop, [pid])
    end

    test "until a time", %{node: node, app: app} do
      assert {:ok, _} = deploy(node, app, say(@tick))
      until = DateTime.add(DateTime.utc_now(), 1)
      assert {:ok, pid} = stream(node, app, tail: :all, until: until, timestamps: true)
      assert {lines, :eof} = all(pid)
      assert lines != []
      assert Enum.all?(lines, fn {:stdout, at, _} -> DateTime.compare(at, until) != :gt end)
    end

    test "the end of the container ends it", %{node: node, app: app} do
      assert {:ok, d} = deploy(node, app, say(@tick))
      assert {:ok, pid} = stream(node, app)
      up_to(pid, &text?(&1, "tick 3"))
      Engine.kill(Engine.docker(), d.container_name)
      assert {_, :eof} = all(pid)
    end

    test "the end of the agent is told", %{app: app} do
      agent = own_agent!(caddy: own_caddy!())
      assert {:ok, _} = deploy(agent.node, app, say(@tick))
      assert {:ok, pid} = stream(agent.node, app)
      up_to(pid, &text?(&1, "tick 3"))
      assert 0 == Agent.stop(agent)
      assert {_, {:error, :shutting_down}} = all(pid)
    end

    test "exit signals, the subscriber's death and the loss of its node end it", %{node: node, app: app} do
      assert {:ok, _} = deploy(node, app, say(@tick))
      assert {:ok, pid} = stream(node, app)
      up_to(pid, &text?(&1, "tick 2"))
      Process.exit(pid, :shutdown)
      Wait.until("its end", fn -> gone?(node, pid) end, @long)

      subscriber = spawn(fn -> Process.sleep(:infinity) end)
      assert {:ok, pid} = call(node, Logs, :stream, [app, subscriber])
      refute gone?(node, pid)
      Process.exit(subscriber, :kill)
      Wait.until("its end", fn -> gone?(node, pid) end, @long)

      peer = Peer.start!()
      far = Peer.call(peer, :erlang, :spawn, [:timer, :sleep, [:infinity]])
      assert {:ok, pid} = call(node, Logs, :stream, [app, far])
      refute gone?(node, pid)
      Peer.stop(peer)
      Wait.until("its end", fn -> gone?(node, pid) end, @long)
      assert [] == Task.Supervisor.children({Otturnaut.Logs.Supervisor, node})
    end
  end

  describe "cursors" do
    test "a stream goes on behind any line: no gap and no double", %{node: node, app: app} do
      script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo out $i; echo err $i >&2; done"
      assert {:ok, _} = deploy(node, app, say(script))
      wait_line(node, app, "out 30")
      Wait.until("stderr", fn -> "err 30" in texts(tail(node, app, 100)) end, @long)
      assert {:ok, pid} = stream(node, app, follow: false, tail: :all, cursors: true)
      {whole, :eof} = all(pid)
      assert length(whole) == 61

      for {{_, _, _, cursor}, at} <- Enum.with_index(whole, 1), rem(at, 6) == 1 or at > 58 do
        assert {:ok, pid} = stream(node, app, follow: false, after: cursor)
        {rest, :eof} = all(pid)
        expected = for {source, _, line, _} <- Enum.drop(whole, at), do: {source, line}
        assert Enum.sort(rest) == Enum.sort(expected)

        for source <- [:stdout, :stderr],
            do: assert(for({^source, l} <- rest, do: l) == for({^source, l} <- expected, do: l))
      end
    end

    test "and behind the last line of the stream that broke", %{node: node, app: app} do
      assert {:ok, _} = deploy(node, app, say(@tick))
      assert {:ok, pid} = stream(node, app, tail: :all, cursors: true)
      first = up_to(pid, &match?({_, _, "tick 5", _}, &1))
      Process.exit(pid, :kill)
      Wait.until("its end", fn -> gone?(node, pid) end, @long)
      {_, _, _, cursor} = List.last(first)
      mailbox()
      assert {:ok, pid} = stream(node, app, after: cursor)
      assert for(i <- 6..15, do: {:stdout, "tick #{i}"}) == up_to(pid, &text?(&1, "tick 15"))
      call(node, Logs, :stop, [pid])
    end

    test "one that is a place of nothing here is refused", %{node: node, app: app} do
      assert {:ok, _} = deploy(node, app, say("echo hi"))
      assert {:error, :unknown_cursor} == stream(node, app, after: "nonsense")
      assert {:ok, lines} = tail(node, app, 1, cursors: true)
      {_, _, _, cursor} = hd(lines)
      other = "#{app}-other"
      on_exit(fn -> Harness.clean(other) end)
      assert {:error, :not_found} == stream(node, other, after: cursor)
      assert {:ok, _} = deploy(node, other)
      assert {:error, :unknown_cursor} == stream(node, other, after: cursor)
      assert {:error, :unknown_cursor} == tail(node, other, 5, after: cursor)
    end
  end

  describe "follow_app" do
    test "goes on with a restart of the container and with the next deployment", %{node: node, app: app} do
      assert {:ok, first} = deploy(node, app, say("echo first; " <> @tick))
      assert {:ok, pid} = stream(node, app, tail: :all, follow_app: true, cursors: true)
      up_to(pid, &match?({_, _, "tick 5", _}, &1))

      Engine.kill(Engine.docker(), first.container_name)
      Engine.start(Engine.docker(), first.container_name)
      id = first.container_id

      restarted = up_to(pid, &match?({:marker, {:container, %{container_id: ^id}}}, &1))
      ticks = for {_, _, "tick " <> i, _} <- restarted, do: String.to_integer(i)
      assert ticks == Enum.to_list(6..(5 + length(ticks))//1)
      again = up_to(pid, &match?({_, _, "tick 5", _}, &1))
      assert ["starting one", "first" | _] = for({_, _, line, _} <- again, do: line)

      assert {:ok, second} = deploy(node, app, say("echo second; " <> @tick))
      id = second.container_id
      before = up_to(pid, &match?({:marker, {:container, %{container_id: ^id}}}, &1))
      {:marker, {:container, marker}} = List.last(before)
      assert %{deployment_id: did, runtime: Otturnaut.Runtime.Docker, container_name: name} = marker
      assert {did, name} == {second.id, second.container_name}
      then = up_to(pid, &match?({_, _, "tick 5", _}, &1))
      assert ["starting one", "second", "tick 1"] == Enum.take(for({_, _, line, _} <- then, do: line), 3)
      ticks = for {_, _, "tick " <> i, _} <- then, do: String.to_integer(i)
      assert ticks == [1, 2, 3, 4, 5]

      assert :ok == undeploy(node, second)
      assert {_, :eof} = all(pid)
    end

    test "a client that was away goes on with what the release before said last", %{node: node, app: app} do
      assert {:ok, first} = deploy(node, app, say("echo first; " <> @tick))
      assert {:ok, pid} = stream(node, app, tail: :all, cursors: true)
      lines = up_to(pid, &match?({_, _, "tick 5", _}, &1))
      call(node, Logs, :stop, [pid])
      {_, _, _, cursor} = List.last(lines)

      for word <- ["second", "third"], do: assert({:ok, _} = deploy(node, app, say("echo #{word}")))
      mailbox()
      assert {:ok, pid} = stream(node, app, after: cursor, follow_app: true)
      seen = up_to(pid, &text?(&1, "third"))
      ticks = for {:stdout, "tick " <> i} <- seen, do: String.to_integer(i)
      assert ticks == Enum.to_list(6..(5 + length(ticks))//1)
      texts = for {:stdout, line} <- seen, not String.starts_with?(line, "tick"), do: line
      assert ["starting one", "second", "starting one", "third"] == texts
      assert 2 == Enum.count(seen, &match?({:marker, {:container, _}}, &1))
      call(node, Logs, :stop, [pid])
      refute first.id == nil
    end
  end

  describe "of containers that are gone" do
    test "the release before and the last failed deployment stay readable, until undeploy", c do
      %{node: node, app: app} = c
      assert {:ok, first} = deploy(node, app, say("echo from the first >&2"))
      wait_line(node, app, "from the first")
      assert {:ok, second} = deploy(node, app, say("echo from the second"))
      assert {:ok, lines} = tail(node, app, 100, deployment_id: first.id)
      assert {:stdout, "starting one"} in lines and {:stderr, "from the first"} in lines
      assert {:ok, pid} = stream(node, app, deployment_id: first.id, cursors: true)
      assert {[{_, _, _, cursor} | rest], :eof} = all(pid)
      assert {:ok, pid} = stream(node, app, after: cursor, cursors: true)
      assert {rest, :eof} == all(pid)
      assert {:ok, [_]} = tail(node, app, 1, deployment_id: first.id)

      bad = %{env: %{"PAGE" => "bad", "SAY" => "echo not well", "EXIT_AFTER" => "0.3"}}
      assert {:error, :health_check_failed, failed} = deploy(node, app, bad)
      assert "not well" in texts(tail(node, app, 100, deployment_id: failed.id))
      assert {:error, :health_check_failed, later} = deploy(node, app, bad)
      assert "not well" in texts(tail(node, app, 100, deployment_id: later.id))
      assert {:error, :no_logs} == tail(node, app, 100, deployment_id: failed.id)
      assert "from the first" in texts(tail(node, app, 100, deployment_id: first.id))
      assert "from the second" in texts(tail(node, app, 100))

      file = Path.join([c.rig.agent.data_dir, "logs", app, "#{first.id}.log"])
      assert {:ok, %{mode: mode}} = File.stat(file)
      assert Bitwise.band(mode, 0o777) == 0o600
      assert File.read!(file) =~ " stderr F from the first\n"

      assert :ok == undeploy(node, second)
      refute File.exists?(Path.dirname(file))
      assert {:error, :not_found} == tail(node, app, 100, deployment_id: first.id)
      assert {:error, :not_found} == tail(node, app, 100)
    end

    test "a failed release command's words are kept", %{node: node, app: app} do
      command = ["/bin/busybox", "sh", "-c", "echo cannot migrate; exit 4"]
      assert {:error, _, failed} = deploy(node, app, %{release_command: command})
      assert ["cannot migrate"] == texts(tail(node, app, 10, deployment_id: failed.id))
    end

    test "a log goes with its release", %{node: node, app: app} do
      [first | _] =
        for word <- ["a", "b", "c"] do
          assert {:ok, d} = deploy(node, app, say("echo #{word}", %{keep_releases: 2}))
          d
        end

      assert {:error, :no_logs} == tail(node, app, 10, deployment_id: first.id)
    end
  end

  describe "an engine that goes away" do
    setup %{caddy: caddy} do
      relay = Relay.start!(Engine.docker().socket)
      agent = own_agent!(caddy: caddy, env: %{"CONTAINER_SOCKET" => relay.path})
      on_exit(fn -> Relay.close(relay) end)
      {:ok, relay: relay, node: agent.node}
    end

    test "the stream goes on where it was", %{node: node, relay: relay, app: app} do
      assert {:ok, _} = deploy(node, app, say(@tick))
      assert {:ok, pid} = stream(node, app, tail: :all)
      seen = up_to(pid, &text?(&1, "tick 5"))
      Relay.close(relay)
      relay = Relay.open!(relay, Engine.docker().socket)
      seen = seen ++ up_to(pid, &text?(&1, "tick 40"))
      Relay.close(relay)
      relay = Relay.open!(relay, Engine.docker().socket)
      seen = seen ++ up_to(pid, &text?(&1, "tick 80"))
      assert seen == [{:stdout, "starting one"} | for(i <- 1..80, do: {:stdout, "tick #{i}"})]
      # The engine's connection is closed when the stream's end is told.
      held = connections(relay)
      assert :ok == call(node, Logs, :stop, [pid])
      assert {_, :stopped} = all(pid)
      Wait.until("the connection's end", fn -> connections(relay) < held end, @long)
    end

    test "a container that is removed beside the agent", %{node: node, relay: relay, app: app} do
      assert {:ok, d} = deploy(node, app, say(@tick))
      assert {:ok, pid} = stream(node, app)
      up_to(pid, &text?(&1, "tick 3"))
      # It is gone before the stream hears of it.
      Relay.close(relay)
      Engine.remove(Engine.docker(), d.container_name)
      Relay.open!(relay, Engine.docker().socket)
      assert {_, {:error, :container_gone}} = all(pid)
    end
  end

  defp connections(%Relay{pid: pid}), do: pid |> Process.info(:links) |> elem(1) |> Enum.count(&is_pid/1)

  describe "what is wrong" do
    test "unknown applications and deployments", %{node: node, app: app} do
      assert {:error, :not_found} == stream(node, app)
      assert {:error, :not_found} == tail(node, app, 10)
      assert {:error, :not_found} == tail(node, app, 10, deployment_id: "none")
      assert {:ok, _} = deploy(node, app)
      assert {:error, :no_logs} == tail(node, app, 10, deployment_id: "none")
      assert {:error, :no_logs} == stream(node, app, deployment_id: "none")
    end

    test "arguments of the wrong type", %{node: node, app: app} do
      wrong = fn function, args, text ->
        assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = call(node, Logs, function, args)
        assert message =~ text
      end

      wrong.(:stream, [:app, self(), []], "app_id: wanted a non-empty string")
      wrong.(:stream, [app, :me, []], "subscriber: wanted a pid")
      wrong.(:stream, [app, self(), [tail: "all"]], "opts[:tail]: wanted a number of lines or :all")
      wrong.(:stream, [app, self(), [since: "now"]], "opts[:since]: wanted a DateTime or unix seconds")
      wrong.(:stream, [app, self(), [follow: 1]], "opts[:follow]: wanted a boolean")
      wrong.(:stream, [app, self(), [after: 1]], "opts[:after]: wanted a string")
      wrong.(:tail, [app, -1], "n: wanted an integer from 0 to 10000")
      wrong.(:stop, ["x"], "pid: wanted a pid")
    end
  end

  describe "a reader that does not read" do
    test "twenty streams to one hold up nobody, cost little, and lose nothing", %{caddy: caddy, app: app} do
      agent = own_agent!(caddy: caddy)
      node = agent.node

      chatty =
        "i=0; while true; do i=$((i+1)); echo $i a line of an application that says very much, all day long; done"

      assert {:ok, _} = deploy(node, app, say(chatty))
      peer = Peer.start!()
      os_pid = Peer.call(peer, :os, :getpid, []) |> to_string()
      Peer.call(peer, :code, :ensure_loaded, [Harness.Hoard])
      hoard = Peer.call(peer, Harness.Hoard, :start, [])
      before = OsProcess.memory(agent.process)
      System.cmd("kill", ["-STOP", os_pid])

      pids =
        for _ <- 1..20 do
          assert {:ok, pid} = call(node, Logs, :stream, [app, hoard, [tail: :all]])
          pid
        end

      other = "#{app}-other"
      on_exit(fn -> Harness.clean(other) end)
      for page <- ["one", "two"], do: assert({:ok, _} = deploy(node, other, %{env: %{"PAGE" => page}}))
      assert [{_, _} | _] = call(node, Otturnaut.AppState, :list, [])
      assert {:ok, [_]} = tail(node, app, 1)
      assert Enum.all?(pids, &(not gone?(node, &1)))
      # 20 times 256 KiB, what a link may hold, and what the deploys took.
      assert OsProcess.memory(agent.process) - before < 40_000
      System.cmd("kill", ["-CONT", os_pid])

      for pid <- pids do
        Wait.until(
          "lines of each",
          fn -> Peer.call(peer, Harness.Hoard, :count, [hoard, pid]) > 2_000 end,
          @long
        )
      end

      for pid <- pids, do: assert(:ok == call(node, Logs, :stop, [pid]))
      for pid <- pids, do: assert({:ok, _} = Peer.call(peer, Harness.Hoard, :in_order, [hoard, pid]))
      Peer.stop(peer)
    end
  end

  describe "under Podman" do
    @tag :once
    setup %{app: app} do
      podman = Engine.podman()

      unless Engine.image?(podman, Images.web()) do
        file = Path.join(System.tmp_dir!(), "otturnaut-podman-#{Agent.unique()}.tar")
        Engine.save!(Engine.docker(), Images.web(), file)
        Engine.load!(podman, file)
        File.rm!(file)
      end

      on_exit(fn -> Harness.clean(app, podman) end)

      {:ok,
       podman: podman, attrs: %{runtime: Otturnaut.Runtime.Podman, runtime_opts: [socket: podman.socket]}}
    end

    @tag :once
    test "the same: history, follow, cursors, a redeploy, what is kept", %{node: node, app: app} = c do
      assert {:ok, first} = deploy(node, app, say("echo first >&2; " <> @tick, c.attrs))
      assert {:ok, pid} = stream(node, app, tail: :all, follow_app: true, cursors: true)
      seen = up_to(pid, &match?({_, _, "tick 30", _}, &1))
      assert for(i <- 1..30, do: "tick #{i}") == for({:stdout, _, "tick" <> _ = line, _} <- seen, do: line)
      assert [{:stderr, %DateTime{}, "first", _}] = for({:stderr, _, _, _} = line <- seen, do: line)

      for {_, _, "tick " <> i, cursor} <- seen, i in ["1", "9", "23", "30"] do
        assert {:ok, again} = stream(node, app, after: cursor)
        next = String.to_integer(i) + 1
        last = "tick #{next + 4}"
        ticks = for {:stdout, line} <- up_to(again, &text?(&1, last)), do: line
        assert for(i <- next..(next + 4), do: "tick #{i}") == ticks
        call(node, Logs, :stop, [again])
      end

      assert {:ok, last} = tail(node, app, 3)
      assert [{:stdout, "tick " <> _}, _, _] = last
      assert {:ok, second} = deploy(node, app, say("echo second", c.attrs))
      id = second.id

      up_to(
        pid,
        &match?({:marker, {:container, %{deployment_id: ^id, runtime: Otturnaut.Runtime.Podman}}}, &1)
      )

      up_to(pid, &match?({_, _, "second", _}, &1))
      assert {:stderr, "first"} in elem(tail(node, app, 1000, deployment_id: first.id), 1)
      assert :ok == undeploy(node, second)
      assert {_, :eof} = all(pid)
    end
  end
end
