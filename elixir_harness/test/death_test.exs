defmodule DeathTest do
  @moduledoc "An agent that is killed at any moment of a deploy and started again: one version serves, nothing torn is left."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.Deployment
  alias Otturnaut.Deployment.Strategy

  setup %{app: app} do
    volume = "otturnaut-harness-#{app}"

    on_exit(fn ->
      Harness.clean(app)
      Engine.remove_volume(Engine.docker(), volume)
    end)

    caddy = own_caddy!()
    agent = own_agent!(caddy: caddy)
    {:ok, node: agent.node, agent: agent, caddy: caddy, docker: Engine.docker(), volume: volume}
  end

  defp again!(agent) do
    agent = Agent.restart!(agent)
    on_exit(fn -> Agent.dispose(agent) end)
    agent
  end

  # Kills the agent as soon as a deploy tells of a step.
  defp killed_at!(%{agent: agent, node: node}, d, step, strategy \\ Strategy.BlueGreen) do
    me = self()
    spawn(fn -> call(node, Deployment, :execute, [d, strategy, %{}, [subscriber: me]]) end)
    assert_receive {:deployment_progress, %{step: ^step}}, 30_000
    Agent.stop(agent, :KILL)
  end

  defp page(caddy, app), do: Caddy.page(caddy, "#{app}.localhost")
  defp ids(node, app), do: for(release <- call(node, Deployment, :releases, [app]), do: release.deployment_id)

  defp documents(%{data_dir: dir}, app),
    do: dir |> Path.join("releases/#{app}/*.json") |> Path.wildcard() |> Enum.map(&Path.basename(&1, ".json"))

  # One container, one port, one route, one page, nothing under way; the documents are those of the releases.
  defp assert_settled(%{agent: agent, node: node, caddy: caddy, app: app, docker: docker}, d, page) do
    one = fn -> match?([%{"State" => "running"}], Engine.containers(docker, app)) end
    Wait.until("one container", one, 30_000)

    Wait.until("an end of all runs", fn -> call(node, Deployment, :list, []) == [] end, 30_000)
    Wait.until("the releases", fn -> hd(ids(node, app) ++ [nil]) == d.id end, 30_000)
    assert {:ok, 200, page <> "\n"} == page(caddy, app)
    assert [%{"Names" => ["/" <> name]}] = Engine.containers(docker, app)
    assert name == "otturnaut-#{app}-#{d.id}"
    id = d.id

    assert {:ok, %{status: :running, deployment_id: ^id, port: port}} =
             call(node, Otturnaut.AppState, :get, [app])

    assert ["#{app}-route"] == Caddy.route_ids(caddy)
    mine = for p <- call(node, Otturnaut.PortManager, :list_allocated, []), p in range(agent), do: p
    assert [port] == mine
    Wait.until("the documents", fn -> Enum.sort(documents(agent, app)) == Enum.sort(ids(node, app)) end)
  end

  defp range(%{range: {low, high}}), do: low..high

  for step <- [:allocate_port, :release_command, :start_container, :health_check] do
    test "killed at #{step}: the old version serves, and the next deploy works", context do
      %{node: node, caddy: caddy, app: app, agent: agent} = context
      assert {:ok, old} = deploy(node, app)
      # It never answers, so that it is never switched to.
      torn = %{env: %{"PAGE" => "two", "DELAY" => "100"}, release_command: ["/bin/busybox", "sleep", "1"]}
      killed_at!(context, deployment(node, app, torn), unquote(step))
      assert {:ok, 200, "one\n"} == page(caddy, app)

      again!(agent)
      assert_settled(context, old, "one")
      assert [old.id] == ids(node, app)
      assert {:error, :no_release} == call(node, Deployment, :rollback, [app])

      assert {:ok, next} = deploy(node, app, %{env: %{"PAGE" => "three"}})
      assert next.previous_container_name == old.container_name
      assert_settled(context, next, "three")
      assert [next.id, old.id] == ids(node, app)
      assert :ok == undeploy(node, next)
      assert_nothing_left(context, app)
      assert [] == documents(agent, app)
    end
  end

  test "killed at the first deploy of an app: nothing is left of it", context do
    %{node: node, app: app, agent: agent, docker: docker} = context
    killed_at!(context, deployment(node, app, %{env: %{"DELAY" => "100"}}), :health_check)
    assert [_] = Engine.containers(docker, app)
    again!(agent)
    Wait.until("an end of the torn container", fn -> Engine.containers(docker, app) == [] end, 30_000)
    Wait.until("an end of all runs", fn -> call(node, Deployment, :list, []) == [] end, 30_000)
    assert_nothing_left(context, app)
    assert [] == ids(node, app)
    Wait.until("an end of its document", fn -> documents(agent, app) == [] end)
    assert {:ok, d} = deploy(node, app)
    assert_settled(context, d, "one")
    assert :ok == undeploy(node, d)
  end

  test "killed once the requests go to the new version: it stays, and the old one goes", context do
    %{node: node, app: app, agent: agent} = context
    # Deaf to SIGTERM, so that its end takes its time.
    assert {:ok, old} = deploy(node, app, %{env: %{"PAGE" => "one", "IGNORE_TERM" => "1"}})
    new = deployment(node, app, %{env: %{"PAGE" => "two"}, stop_timeout: 6_000})
    killed_at!(context, new, :stop_old)
    again!(agent)
    assert_settled(context, new, "two")
    assert [new.id, old.id] == ids(node, app)
    assert {:ok, back} = call(node, Deployment, :rollback, [app])
    assert_settled(context, back, "one")
    assert :ok == undeploy(node, back)
    assert_nothing_left(context, app)
  end

  test "killed while a Recreate has stopped the old version: the old one comes back", context do
    %{node: node, app: app, agent: agent, volume: volume} = context
    volumes = ["#{volume}:/www/data"]
    first = deployment(node, app, %{volumes: volumes})
    assert {:ok, old} = call(node, Deployment, :execute, [first, Strategy.Recreate])
    torn = deployment(node, app, %{volumes: volumes, env: %{"PAGE" => "two", "DELAY" => "100"}})
    killed_at!(context, torn, :health_check, Strategy.Recreate)
    assert {:ok, 502, _} = page(context.caddy, app)
    again!(agent)
    assert_settled(context, old, "one")
    assert :ok == undeploy(node, old)
    assert_nothing_left(context, app)
  end

  test "killed in the middle of a rollback: the release that ran serves", context do
    %{node: node, app: app, agent: agent} = context
    assert {:ok, one} = deploy(node, app, %{env: %{"PAGE" => "one", "DELAY" => "5"}})
    assert {:ok, two} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    me = self()
    spawn(fn -> call(node, Deployment, :rollback, [app, [subscriber: me]]) end)
    assert_receive {:deployment_progress, %{step: :health_check}}, 30_000
    Agent.stop(agent, :KILL)
    again!(agent)
    assert_settled(context, two, "two")
    assert [two.id, one.id] == ids(node, app)
    # What it needs is still there.
    assert {:ok, back} = call(node, Deployment, :rollback, [app])
    assert_settled(context, back, "one")
    assert :ok == undeploy(node, back)
  end

  test "releases survive a restart and a kill, and can be gone back to", context do
    %{node: node, app: app, agent: agent} = context
    env = %{"PAGE" => "one", "SECRET" => "kept"}
    assert {:ok, one} = deploy(node, app, %{env: env})
    assert {:ok, two} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    known = call(node, Deployment, :releases, [app])
    assert [two.id, one.id] == for(release <- known, do: release.deployment_id)

    assert 0 == Agent.stop(agent, :TERM)
    agent = again!(agent)
    assert known == call(node, Deployment, :releases, [app])
    Agent.stop(agent, :KILL)
    agent = again!(agent)
    assert known == call(node, Deployment, :releases, [app])

    assert {:ok, %{env: ^env, status: :completed} = back} = call(node, Deployment, :rollback, [app])
    assert_settled(%{context | agent: agent}, back, "one")
    Agent.stop(agent, :KILL)
    agent = again!(agent)

    assert [{one.id, true, :completed}, {two.id, false, :rolled_back}] ==
             for(
               release <- call(node, Deployment, :releases, [app]),
               do: {release.deployment_id, release.current, release.status}
             )

    assert_settled(%{context | agent: agent}, back, "one")
    assert :ok == undeploy(node, back)
    Agent.stop(agent, :KILL)
    again!(agent)
    assert [] == call(node, Deployment, :releases, [app])
    assert_nothing_left(context, app)
  end
end
