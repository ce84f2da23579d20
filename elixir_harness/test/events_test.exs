defmodule EventsTest do
  @moduledoc "Events: numbered, in order, each once; who asks for them, who missed them, Mission Control."
  use Harness.Case

  alias Harness.{Collector, Relay}
  alias Otturnaut.Events

  @long 30_000

  defp subscribe(node, opts \\ []), do: call(node, Events, :subscribe, [self(), opts])
  defp since(node, seq), do: call(node, Events, :since, [seq])

  # The events of an application up to the one of that type.
  defp until_type(app, type, got \\ []) do
    receive do
      {:otturnaut_event, _, %{app_id: ^app, type: ^type} = event} -> Enum.reverse([event | got])
      {:otturnaut_event, _, %{app_id: ^app} = event} -> until_type(app, type, [event | got])
      {:otturnaut_event, _, _} -> until_type(app, type, got)
    after
      @long -> flunk("no #{type} of #{app}, but #{inspect(Enum.reverse(got))}")
    end
  end

  defp await(type, wanted? \\ fn _ -> true end) do
    receive do
      {:otturnaut_event, _, %{type: ^type} = event} ->
        if wanted?.(event), do: event, else: await(type, wanted?)
    after
      @long -> flunk("no #{type}")
    end
  end

  describe "of runs" do
    test "a deploy tells its begin, its steps and its end", %{node: node, app: app} do
      assert {:ok, seq} = subscribe(node)
      assert {:ok, d} = deploy(node, app)
      events = until_type(app, :deployment_completed)

      assert [%{type: :deployment_started, kind: :deploy} = started | _] = events
      assert started.image == d.image
      assert %DateTime{} = started.at
      assert Enum.all?(events, &(&1.deployment_id == d.id and &1.seq > seq))

      steps = for %{type: :deployment_step, step: step} <- events, do: step

      assert steps == [
               :allocate_port,
               :start_container,
               :health_check,
               :switch_route,
               :stop_old,
               :release_port
             ]

      assert %{kind: :deploy, left: [], steps_ms: %{health_check: _}} = completed = List.last(events)
      assert completed.port == d.port
      assert completed.duration_ms >= completed.steps_ms.start_container

      assert :ok == undeploy(node, d)
      gone = until_type(app, :deployment_completed)
      assert [%{type: :deployment_started, kind: :undeploy} | _] = gone
    end

    test "a failed deploy tells which step failed and why", %{node: node, app: app} do
      assert {:ok, _} = subscribe(node, app_id: app)

      assert {:error, :health_check_failed, d} =
               deploy(node, app, %{env: %{"PAGE" => "x", "EXIT_AFTER" => "0.2"}})

      failed = app |> until_type(:deployment_failed) |> List.last()
      assert %{kind: :deploy, step: :health_check, stuck: []} = failed
      assert failed.deployment_id == d.id
      # On a machine that is busy the engine may have started it again before anybody could see it stopped.
      assert failed.why =~ ~r/exited with code 1|restarted by the engine/
      assert failed.why =~ "starting x"
      assert failed.reason =~ "not ready"
    end
  end

  describe "subscriptions" do
    test "every subscriber gets each event once and in order, however often it subscribes", %{
      node: node,
      app: app
    } do
      assert {:ok, _} = subscribe(node)
      assert {:ok, _} = subscribe(node)
      assert {:ok, d} = deploy(node, app)
      assert {:ok, _} = subscribe(node)
      assert :ok == undeploy(node, d)
      deployed = until_type(app, :deployment_completed)
      seqs = for event <- deployed ++ until_type(app, :deployment_completed), do: event.seq
      assert seqs == seqs |> Enum.sort() |> Enum.uniq()
      {:ok, all} = since(node, hd(seqs) - 1)
      assert seqs == for(%{app_id: ^app, seq: seq} <- all, do: seq)
    end

    test "what was missed comes with since, by itself or before what is new", %{node: node, app: app} do
      {:ok, seq} = subscribe(node)
      assert :ok == call(node, Events, :unsubscribe, [self()])
      assert {:ok, _} = deploy(node, app)
      refute Enum.any?(mailbox(), &match?({:otturnaut_event, _, %{app_id: ^app}}, &1))
      assert {:ok, ^seq} = subscribe(node, since: seq)
      again = until_type(app, :deployment_completed)
      # A call may answer before the last of its events is on disk: asked once that was seen.
      assert {:ok, missed} = since(node, seq)
      assert again == Enum.filter(missed, &(&1.app_id == app))
    end

    test "only some types, of one application", %{node: node, app: app} do
      assert {:ok, _} = subscribe(node, app_id: app, types: [:deployment_completed])
      other = "#{app}-other"
      on_exit(fn -> Harness.clean(other) end)
      assert {:ok, _} = deploy(node, other)
      assert {:ok, _} = deploy(node, app)
      assert [%{type: :deployment_completed}] = until_type(app, :deployment_completed)
      assert [] == for({:otturnaut_event, _, event} <- mailbox(), do: event)
    end

    test "they end with the subscriber, and make room", %{node: node} do
      for _ <- 1..10 do
        tasks =
          for _ <- 1..10 do
            Task.async(fn -> call(node, Events, :subscribe, [self()]) end)
          end

        assert Enum.all?(Task.await_many(tasks, @long), &match?({:ok, _}, &1))
        # Those that have ended are gone for the node as well.
        Wait.until("the subscriptions to end", fn -> tellers(node) == [] end, @long)
      end
    end

    test "what is gone, or was never there, is gone; what is no number is refused", %{node: node} do
      assert {:error, :gone} == since(node, 999_999_999)
      assert {:error, :gone} == subscribe(node, since: 999_999_999)

      for wrong <- [-1, "1", nil, 1.5] do
        assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = since(node, wrong)
        assert message =~ "seq"
      end

      assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = subscribe(node, types: [:nonsense])
      assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = call(node, Events, :subscribe, [:me])
      assert :ok == call(node, Events, :unsubscribe, [spawn(fn -> :ok end)])
    end

    defp tellers(node) do
      initial = {Otturnaut.Events.Subscription, :run, 3}

      for pid <- call(node, :erlang, :processes, []),
          {:initial_call, ^initial} <- [call(node, :erlang, :process_info, [pid, :initial_call])],
          do: pid
    end
  end

  describe "of the outpost" do
    # The events after a number, once they tell of a start: they are on disk then.
    defp once_up!(node, seq) do
      Wait.until("the start to be told", fn ->
        {:ok, events} = since(node, seq)
        if Enum.any?(events, &(&1.type == :outpost_up)), do: events
      end)
    end

    setup do
      caddy = own_caddy!()
      agent = own_agent!(caddy: caddy)
      {:ok, agent: agent, node: agent.node, caddy: caddy}
    end

    test "numbers go on after kill -9, and nothing that was told is told otherwise", %{agent: agent, app: app} do
      node = agent.node
      assert [%{type: :outpost_up, seq: 1, version: version} | _] = once_up!(node, 0)
      assert is_binary(version)
      assert {:ok, _} = deploy(node, app)

      {:ok, before} =
        Wait.until("the end to be told", fn ->
          {:ok, events} = since(node, 0)
          if Enum.any?(events, &(&1.type == :deployment_completed)), do: {:ok, events}
        end)

      Agent.stop(agent, :KILL)
      agent = Agent.restart!(agent)
      on_exit(fn -> Agent.dispose(agent) end)
      once_up!(node, List.last(before).seq)
      assert {:ok, later} = since(node, 0)
      assert before == Enum.take(later, length(before))
      assert Enum.map(later, & &1.seq) == Enum.to_list(1..length(later))
      assert Enum.any?(Enum.drop(later, length(before)), &(&1.type == :outpost_up))
    end

    test "Caddy that goes, comes back empty, and has its routes again", %{node: node, caddy: caddy, app: app} do
      assert {:ok, _} = deploy(node, app)
      assert {:ok, _} = subscribe(node)
      Caddy.stop(caddy)
      assert %{reason: reason} = await(:proxy_down)
      assert reason =~ "Caddy"
      caddy = Caddy.start!(caddy)
      await(:proxy_up)
      assert %{routes: routes} = await(:route_restored)
      assert routes == ["#{app}-route"]
      assert {:ok, 200, _} = Caddy.page(caddy, "#{app}.localhost")
    end
  end

  test "an engine that goes and comes back" do
    relay = Relay.start!(Engine.docker().socket)
    on_exit(fn -> File.rm(relay.path) end)
    agent = own_agent!(env: %{"CONTAINER_SOCKET" => relay.path})
    assert {:ok, _} = subscribe(agent.node, types: [:runtime_down, :runtime_up], since: 0)
    # Podman may be here as well.
    docker = &(&1.runtime == :docker)
    assert %{version: version} = await(:runtime_up, docker)
    assert is_binary(version)
    Relay.close(relay)
    assert %{reason: reason} = await(:runtime_down, docker)
    assert is_binary(reason)
    relay = Relay.open!(relay, Engine.docker().socket)
    await(:runtime_up, docker)
    Relay.close(relay)
  end

  describe "to Mission Control" do
    defp collected(peer, name) do
      for {:otturnaut_event, _, event} <- Peer.call(peer, Collector, :messages, [name]), do: event
    end

    defp until_told(peer, name, seq) do
      told? = fn -> Enum.any?(collected(peer, name), &(&1.seq >= seq)) end
      Wait.until("event #{seq} to be told", told?, @long)
      collected(peer, name)
    end

    defp last(node) do
      {:ok, events} = since(node, 0)
      List.last(events).seq
    end

    test "all of them, those of the time in which it was away too, each once", %{app: app} do
      name = "mission_control_#{Agent.unique()}@127.0.0.1"
      first = Peer.start!(name: name)
      Peer.call(first, Collector, :start!, [:otturnaut_events])
      agent = own_agent!(env: %{"MISSION_CONTROL_HOST" => name})
      node = agent.node

      Wait.until(
        "the greeting",
        fn -> Enum.any?(collected(first, :otturnaut_events), & &1[:mission_control]) end,
        @long
      )

      assert :ok == call(node, Otturnaut.HealthMonitor, :unwatch, [app])
      told = until_told(first, :otturnaut_events, last(node))
      assert [%{type: :outpost_up} | _] = told
      Peer.stop(first)

      # Away: things happen.
      assert {:error, _, _} = deploy(node, app, %{image: "otturnaut-harness-nothing:none"})
      missed = last(node)
      second = Peer.start!(name: name)
      Peer.call(second, Collector, :start!, [:otturnaut_events])
      later = until_told(second, :otturnaut_events, missed)
      assert Enum.any?(later, &(&1.type == :deployment_failed and &1.app_id == app))
      seqs = Enum.map(told ++ later, & &1.seq)
      assert Enum.to_list(1..List.last(seqs)) == Enum.uniq(seqs)
      assert seqs == Enum.sort(seqs)
      Peer.stop(second)
    end

    test "to a process of another name, once it is there" do
      mission_control = Peer.start!()

      env = %{
        "MISSION_CONTROL_HOST" => "#{mission_control.node}",
        "MISSION_CONTROL_PROCESS" => "Fleet.Events"
      }

      agent = own_agent!(env: env)
      here? = fn -> agent.node in Peer.call(mission_control, Node, :list, [:hidden]) end
      Wait.until("the agent to come", here?, @long)
      Peer.call(mission_control, Collector, :start!, [Fleet.Events])
      assert [%{type: :outpost_up} | _] = until_told(mission_control, Fleet.Events, last(agent.node))
      Peer.stop(mission_control)
    end
  end
end
