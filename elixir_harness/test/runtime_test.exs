defmodule RuntimeTest do
  @moduledoc "Otturnaut.Runtime.Docker and Otturnaut.HealthCheck against the real engine."
  use Harness.Case

  alias Otturnaut.HealthCheck
  alias Otturnaut.Runtime.Docker

  setup do
    name = "otturnaut-runtime-#{Harness.Agent.unique()}"
    on_exit(fn -> Engine.remove(Engine.docker(), name) end)
    {:ok, name: name}
  end

  defp start(node, name, more \\ %{}) do
    request = %{
      name: name,
      image: Images.web(),
      port: Ports.free(),
      container_port: 8080,
      env: %{"PAGE" => "direct"}
    }

    request = Map.merge(request, more)
    {request.port, call(node, Docker, :start, [request])}
  end

  test "systemd is there, or each function says that it is not", %{node: node, name: name} do
    systemd = Otturnaut.Runtime.Systemd
    runtimes = call(node, Otturnaut, :status, []).runtimes

    if File.dir?("/run/systemd/system") do
      assert {:ok, apps} = call(node, systemd, :list_apps, [])
      assert is_list(apps) and Map.has_key?(runtimes, :systemd)
    else
      missing = {:error, %{__struct__: Req.TransportError, __exception__: true, reason: :enoent}}
      assert missing == call(node, systemd, :list_apps, [])
      request = %{name: name, image: "shop:1", port: Ports.free(), container_port: 80}
      assert missing == call(node, systemd, :start, [request])
      refute Map.has_key?(runtimes, :systemd)
    end
  end

  test "a container's life", %{node: node, name: name} do
    assert {port, {:ok, id}} = start(node, name)
    assert Engine.inspect!(Engine.docker(), name)["Id"] == id
    assert {:ok, :running} == call(node, Docker, :status, [name])
    assert {:ok, port} == call(node, Docker, :get_port, [name])
    assert {:ok, apps} = call(node, Docker, :list_apps, [])

    assert %{container_id: ^id, status: :running, port: ^port, image: "otturnaut-harness-web" <> _} =
             Enum.find(apps, &(&1.container_name == name))

    assert :ok == call(node, Docker, :stop, [name])
    assert {:ok, :stopped} == call(node, Docker, :status, [name])
    assert :ok == call(node, Docker, :remove, [name])
    assert {:ok, :not_found} == call(node, Docker, :status, [name])
  end

  test "keywords do as well as maps, options name the socket", %{node: node, name: name} do
    opts = [socket: Engine.docker().socket]
    request = [name: name, image: Images.web(), port: Ports.free(), container_port: 8080, env: %{}] ++ opts
    assert {:ok, _} = call(node, Docker, :start, [request])
    assert {:ok, :running} == call(node, Docker, :status, [name, opts])
    assert :ok == call(node, Docker, :stop, [name, opts])
    assert :ok == call(node, Docker, :remove, [name, opts])
  end

  test "what is not there", %{node: node} do
    assert {:ok, :not_found} == call(node, Docker, :status, ["otturnaut-nope"])
    assert {:error, :not_found} == call(node, Docker, :stop, ["otturnaut-nope"])
    assert {:error, :not_found} == call(node, Docker, :remove, ["otturnaut-nope"])
    assert {:error, :not_found} == call(node, Docker, :get_port, ["otturnaut-nope"])
  end

  test "a start that fails leaves no container", %{node: node, name: name} do
    assert {_, {:error, {:http_error, 404, %{"message" => "No such image: nope:latest"}}}} =
             start(node, name, %{image: "nope:latest"})

    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, taken} = :inet.port(socket)
    assert {_, {:error, {:http_error, 500, %{"message" => message}}}} = start(node, name, %{port: taken})
    assert message =~ "address already in use" or message =~ "driver failed"
    assert [] == Engine.named(Engine.docker(), name)
    :gen_tcp.close(socket)
  end

  test "archives of images", %{node: node} do
    file = Path.join(System.tmp_dir!(), "otturnaut-image-#{Harness.Agent.unique()}.tar")
    Engine.save!(Engine.docker(), Images.web(), file)
    assert {:ok, Images.web()} == call(node, Docker, :load_image, [file])
    File.rm!(file)
    assert {:error, {:file_read_error, :enoent}} == call(node, Docker, :load_image, [file])
  end

  test "images from directories", %{node: node, app: app} do
    Images.in_context(fn dir ->
      assert {:ok, app <> ":one"} ==
               call(node, Docker, :build_image, [dir, app <> ":one", [subscriber: self()]])

      assert Enum.any?(mailbox(), &match?({:command_output, _, {:stdout, _}}, &1))
      assert Engine.image?(Engine.docker(), app <> ":one")
      File.write!(Path.join(dir, "Dockerfile"), "FROM scratch\nCOPY nothing-like-this /\n")
      assert {:error, {:build_error, text}} = call(node, Docker, :build_image, [dir, app <> ":two", []])
      assert is_binary(text)
    end)

    Engine.remove_image(Engine.docker(), app <> ":one")
  end

  test "health checks: running, http, tcp", %{node: node, name: name} do
    assert {port, {:ok, _}} = start(node, name)
    check = fn config -> call(node, HealthCheck, :check, [config]) end
    running = %{type: :running, runtime: Docker, name: name, runtime_opts: []}
    assert :healthy == check.(running)
    http = %{type: :http, url: "http://127.0.0.1:#{port}/health", expected_status: 200, timeout: 2_000}
    assert :healthy == call(node, HealthCheck, :check_with_retry, [http, [max_attempts: 20, interval: 100]])
    assert :healthy == check.(http)
    assert :unhealthy == check.(%{http | expected_status: 500})
    assert :unhealthy == check.(%{http | url: "http://127.0.0.1:#{port}/missing"})
    assert :healthy == check.(%{type: :tcp, host: "127.0.0.1", port: port, timeout: 2_000})
    assert :ok == call(node, Docker, :stop, [name])
    assert :unhealthy == check.(running)
    assert :unhealthy == check.(http)
    assert :unhealthy == check.(%{type: :tcp, host: "127.0.0.1", port: port, timeout: 500})
    assert :unhealthy == check.(%{running | name: "otturnaut-nope"})
  end
end
