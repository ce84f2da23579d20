defmodule DeploymentTest do
  @moduledoc "Otturnaut.Deployment: the struct, deploys, redeploys, undeploys; what Mission Control gets to see of them."
  use Harness.Case

  alias Otturnaut.Deployment
  alias Otturnaut.Deployment.Strategy

  test "new builds the struct as struct!/2 does", %{node: node} do
    d = call(node, Deployment, :new, [%{app_id: "a", image: "i", container_port: 80}])

    assert %Deployment{
             status: :pending,
             env: %{},
             domains: [],
             runtime: Otturnaut.Runtime.Docker,
             runtime_opts: []
           } = d

    assert d.id =~ ~r/^[A-Za-z0-9_-]{8}$/
    assert %{d | id: "x"} == %Deployment{id: "x", app_id: "a", image: "i", container_port: 80}

    assert %Deployment{id: "mine"} =
             call(node, Deployment, :new, [%{id: "mine", app_id: "a", image: "i", container_port: 80}])

    assert "otturnaut-a-#{d.id}" == call(node, Deployment, :container_name, [d])
  end

  test "missing and unknown keys", %{node: node} do
    text =
      "the following keys must also be given when building struct Otturnaut.Deployment: [:image, :container_port]"

    assert {:badrpc, {:EXIT, {%ArgumentError{message: ^text}, _}}} =
             call(node, Deployment, :new, [%{app_id: "a"}])

    attrs = %{app_id: "a", image: "i", container_port: 80, colour: "blue"}
    assert {:badrpc, {:EXIT, {%KeyError{key: :colour}, _}}} = call(node, Deployment, :new, [attrs])
  end

  test "marks", %{node: node} do
    d = %Deployment{id: "x", app_id: "a", image: "i", container_port: 80}

    assert %Deployment{status: :completed, completed_at: %DateTime{} = at} =
             call(node, Deployment, :mark_completed, [d])

    assert abs(DateTime.diff(at, DateTime.utc_now())) < 60
    assert %{status: :failed, error: :why} = call(node, Deployment, :mark_failed, [d, :why])
    assert %{status: :rolled_back} = call(node, Deployment, :mark_rolled_back, [d])
    assert %{status: :completed, mine: 1} = call(node, Deployment, :mark_completed, [Map.put(d, :mine, 1)])
  end

  test "strategy and context", %{node: node} do
    assert "Blue-Green" == call(node, Strategy.BlueGreen, :name, [])
    assert %{__struct__: Otturnaut.Deployment.Context} = call(node, Otturnaut.Deployment.Context, :new, [%{}])
    assert :ok == call(node, Strategy, :notify_progress, [[subscriber: self()], :start_container, "hello"])
    assert_receive {:deployment_progress, %{step: :start_container, message: "hello"}}, 30_000
    assert :ok == call(node, Strategy, :notify_progress, [[], :start_container, "nobody hears it"])
  end

  test "a deploy, from nothing to a page", %{node: node, caddy: caddy, app: app, rig: rig} do
    assert {:ok, d} = deploy(node, app, %{}, subscriber: self())
    id = d.id
    name = "otturnaut-#{app}-#{id}"

    assert %Deployment{
             status: :completed,
             error: nil,
             container_name: ^name,
             previous_container_name: nil,
             previous_port: nil,
             runtime: Otturnaut.Runtime.Docker,
             runtime_opts: []
           } = d

    {low, high} = rig.agent.range
    assert d.port in low..high
    assert %DateTime{time_zone: "Etc/UTC", microsecond: {_, 6}} = d.started_at
    assert DateTime.compare(d.started_at, d.completed_at) in [:lt, :eq]

    container = Engine.inspect!(Engine.docker(), name)
    assert container["Id"] == d.container_id

    assert [%{"HostIp" => "127.0.0.1", "HostPort" => port}] =
             container["HostConfig"]["PortBindings"]["8080/tcp"]

    assert port == "#{d.port}"
    assert %{"otturnaut.app_id" => ^app, "otturnaut.deployment_id" => ^id} = container["Config"]["Labels"]

    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert "#{app}-route" in Caddy.route_ids(caddy)

    assert {:ok, %{status: :running, container_name: ^name, port: _, deployment_id: ^id}} =
             call(node, Otturnaut.AppState, :get, [app])

    steps = for {:deployment_progress, %{step: step, message: text}} <- mailbox(), is_binary(text), do: step
    assert [:allocate_port, :start_container, :health_check, :switch_route] -- steps == []
    assert steps == Enum.sort_by(steps, &step_number/1)

    assert :ok == undeploy(node, d, subscriber: self())
    steps = for {:undeploy_progress, %{step: step, message: text}} <- mailbox(), is_binary(text), do: step

    assert steps == [
             :retrieve_state,
             :stop_container,
             :remove_container,
             :remove_routes,
             :release_port,
             :clear_state
           ]

    assert_nothing_left(%{node: node, caddy: caddy}, app)
    refute call(node, Otturnaut.PortManager, :in_use?, [d.port])
  end

  test "undeploy is idempotent, what is missing is success", %{node: node, app: app} do
    assert :ok == undeploy(node, deployment(node, app))
    assert {:ok, d} = deploy(node, app)
    assert {:ok, 204, _} = Engine.remove(Engine.docker(), d.container_name)
    assert :ok == undeploy(node, d)
    assert :ok == undeploy(node, d)
  end

  test "blue-green: the new version takes over, no request fails", %{node: node, caddy: caddy, app: app} do
    assert {:ok, first} = deploy(node, app)
    load = Load.start(caddy, "#{app}.localhost")
    Wait.until("some requests", fn -> Load.total(load) > 50 end)
    assert {:ok, second} = deploy(node, app, %{env: %{"PAGE" => "two", "DELAY" => "1"}})
    seen = Load.total(load)
    Wait.until("more requests", fn -> Load.total(load) > seen + 50 end)
    assert_served(Load.stop(load))
    assert {:ok, 200, "two\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert second.previous_container_name == first.container_name
    assert second.previous_port == first.port
    assert [%{"Id" => id}] = Engine.containers(Engine.docker(), app)
    assert id == second.container_id
    refute call(node, Otturnaut.PortManager, :in_use?, [first.port])
    assert :ok == undeploy(node, second)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "undeploy under requests: the route goes before the container", %{
    node: node,
    caddy: caddy,
    app: app
  } do
    assert {:ok, d} = deploy(node, app)
    load = Load.start(caddy, "#{app}.localhost")
    Wait.until("some requests", fn -> Load.total(load) > 20 end)
    assert :ok == undeploy(node, d)

    # Without a route Caddy answers by itself with an empty 200; a 502 would mean that the container went first. A removal
    # changes Caddy's configuration, and what waits in the listener that Caddy closes then is reset: that is no answer.
    %{failed: failed, broken: broken} = result = Load.stop(load)
    assert failed == broken, "wrong answers among #{inspect(result)}"
  end

  test "an app without domains is deployed without a route", %{node: node, caddy: caddy, app: app} do
    assert {:ok, d} = deploy(node, app, %{domains: []})
    refute "#{app}-route" in Caddy.route_ids(caddy)
    assert {:ok, 200, "one\n"} == Http.get({"127.0.0.1", d.port}, "/")
    assert :ok == undeploy(node, d)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "app ids with dashes stay whole", %{node: node, caddy: caddy, app: app} do
    app = "#{app}-my-dashed-app"
    on_exit(fn -> Harness.clean(app) end)
    assert {:ok, d} = deploy(node, app, %{id: "-_a-b_c-"})
    assert {:ok, apps} = call(node, Otturnaut.Runtime.Docker, :list_apps, [])

    assert %{id: ^app, status: :running, port: port} =
             Enum.find(apps, &(&1.container_name == d.container_name))

    assert port == d.port
    assert :ok == undeploy(node, d)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "eight apps at once: eight routes, eight pages", %{node: node, caddy: caddy, app: app} do
    apps = for n <- 1..8, do: "#{app}-#{n}"
    on_exit(fn -> Enum.each(apps, &Harness.clean/1) end)

    deployed =
      apps
      |> Enum.map(&Task.async(fn -> deploy(node, &1, %{env: %{"PAGE" => &1}}) end))
      |> Task.await_many(90_000)

    assert Enum.all?(deployed, &match?({:ok, _}, &1))
    for name <- apps, do: assert({:ok, 200, name <> "\n"} == Caddy.page(caddy, "#{name}.localhost"))

    undeployed =
      deployed
      |> Enum.map(fn {:ok, d} -> Task.async(fn -> undeploy(node, d) end) end)
      |> Task.await_many(90_000)

    assert Enum.all?(undeployed, &(&1 == :ok))
    for name <- apps, do: assert_nothing_left(%{node: node, caddy: caddy}, name)
  end

  test "two deploys of one app at once: one after the other, one container in the end", %{
    node: node,
    caddy: caddy,
    app: app
  } do
    pages = ["first", "second"]

    results =
      pages
      |> Enum.map(&Task.async(fn -> deploy(node, app, %{env: %{"PAGE" => &1}}) end))
      |> Task.await_many(90_000)

    assert [{:ok, _}, {:ok, _}] = results
    assert [%{"Id" => id}] = Engine.containers(Engine.docker(), app)
    {:ok, last} = Enum.find(results, fn {:ok, d} -> d.container_id == id end)
    assert {:ok, 200, last.env["PAGE"] <> "\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert :ok == undeploy(node, last)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "the strategy's own execute does the same", %{node: node, app: app} do
    d = deployment(node, app)
    assert {:ok, %{status: :completed} = d} = call(node, Strategy.BlueGreen, :execute, [d, %{}, []])
    assert :ok == undeploy(node, d)
  end

  defp step_number(step) do
    Enum.find_index(
      [:allocate_port, :start_container, :health_check, :switch_route, :stop_old, :release_port],
      &(&1 == step)
    )
  end
end
