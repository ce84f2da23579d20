defmodule PodmanTest do
  @moduledoc "The same life under Podman."
  use Harness.Case

  @moduletag :once

  alias Otturnaut.Runtime.Podman

  setup_all do
    podman = Engine.podman()

    unless Engine.answers?(podman),
      do: raise("Podman's API does not answer at #{podman.socket}: script/setup")

    file = Path.join(System.tmp_dir!(), "otturnaut-podman-#{Agent.unique()}.tar")
    Engine.save!(Engine.docker(), Images.web(), file)
    Engine.load!(podman, file)
    File.rm!(file)
    {:ok, podman: podman, attrs: %{runtime: Podman, runtime_opts: [socket: podman.socket]}}
  end

  setup %{app: app, podman: podman} do
    on_exit(fn -> Harness.clean(app, podman) end)
    {:ok, opts: [socket: podman.socket]}
  end

  test "deploy, redeploy under requests, undeploy",
       %{node: node, caddy: caddy, app: app, podman: podman} = c do
    assert {:ok, first} = deploy(node, app, c.attrs)
    assert first.runtime == Podman
    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    load = Load.start(caddy, "#{app}.localhost", 2)
    assert {:ok, second} = deploy(node, app, Map.put(c.attrs, :env, %{"PAGE" => "two"}))
    assert_served(Load.stop(load))
    assert {:ok, 200, "two\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert second.previous_container_name == first.container_name
    assert [_] = Engine.containers(podman, app)
    assert :ok == undeploy(node, second)
    assert [] == Engine.containers(podman, app)
    refute "#{app}-route" in Caddy.route_ids(caddy)
  end

  test "deploys that fail leave nothing", %{node: node, app: app, podman: podman} = c do
    ports = call(node, Otturnaut.PortManager, :list_allocated, [])

    assert {:error, {:container_start_failed, {:http_error, 404, _}}, _} =
             deploy(node, app, Map.put(c.attrs, :image, "localhost/otturnaut-#{app}:nope"))

    assert {:error, :health_check_failed, _} =
             deploy(node, app, Map.put(c.attrs, :env, %{"EXIT_AFTER" => "0.3"}))

    assert [] == Engine.containers(podman, app)
    assert ports -- call(node, Otturnaut.PortManager, :list_allocated, []) == []
  end

  test "the functions of the engine", %{node: node, app: app, opts: opts, podman: podman} do
    name = "otturnaut-#{app}-direct"
    port = Ports.free()
    on_exit(fn -> Engine.remove(podman, name) end)
    request = [name: name, image: Images.web(), port: port, container_port: 8080, env: %{}] ++ opts
    assert {:ok, id} = call(node, Podman, :start, [request])
    assert is_binary(id)
    assert {:ok, :running} == call(node, Podman, :status, [name, opts])
    assert {:ok, port} == call(node, Podman, :get_port, [name, opts])
    assert {:ok, apps} = call(node, Podman, :list_apps, [opts])
    assert Enum.any?(apps, &(&1.container_name == name))
    assert :ok == call(node, Podman, :stop, [name, opts])
    assert {:ok, :stopped} == call(node, Podman, :status, [name, opts])
    assert :ok == call(node, Podman, :remove, [name, opts])
    assert {:ok, :not_found} == call(node, Podman, :status, [name, opts])
    assert {:error, :not_found} == call(node, Podman, :stop, [name, opts])
  end
end
