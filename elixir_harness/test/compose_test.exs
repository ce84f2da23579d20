defmodule ComposeTest do
  @moduledoc """
  `docker-compose.yml` as it is, by the real `docker compose`: `script/compose` makes what the image is built of, and names it.
  """
  use Harness.Case

  alias Harness.{Certificates, Json}
  alias Otturnaut.{AppState, Build, Deployment}

  @moduletag :compose
  @moduletag timeout: 300_000

  @first "0.1.0"
  @second "0.1.1"

  setup_all do
    dir = Path.join(System.tmp_dir!(), "otturnaut-compose-#{Agent.unique()}")
    project!(dir)
    outpost = describe(dir)
    write_env!(outpost)

    on_exit(fn ->
      System.cmd("docker", ["compose", "down", "--volumes", "--timeout", "0"], cd: dir, stderr_to_stdout: true)

      for version <- [@first, @second], do: Engine.remove_image(Engine.docker(), image(outpost, version))
      File.rm_rf!(dir)
    end)

    for version <- [@first, @second], do: compose!(outpost, ["build", "--quiet"], version)
    up!(outpost, @first)
    {:ok, outpost: outpost}
  end

  # What a server has: the files of the repository that an outpost is made of, and a binary that is built already.
  defp project!(dir) do
    repository = Path.expand("../..", __DIR__)
    File.mkdir_p!(Path.join(dir, "dist"))

    for file <- ["Dockerfile", ".dockerignore", "docker-compose.yml", "docker-compose.dev.yml", "packaging"],
        do: File.cp_r!(Path.join(repository, file), Path.join(dir, file))

    File.cp!(variable!("HARNESS_COMPOSE_BINARY"), Path.join(dir, "dist/otturnaut"))
    File.chmod!(Path.join(dir, "dist/otturnaut"), 0o755)
  end

  defp variable!(name), do: System.get_env(name) || raise("#{name} is not set: script/compose")

  defp describe(dir) do
    unique = Agent.unique()
    {low, high} = Ports.range()

    %{
      dir: dir,
      project: "otturnaut-compose-#{unique}",
      tag: "-#{unique}",
      node: :"outpost_#{unique}@127.0.0.1",
      caddy: %{admin_port: Ports.free(), http_port: Ports.free(), https_port: Ports.free()},
      range: "#{low}-#{high}"
    }
  end

  defp write_env!(outpost) do
    env = """
    COMPOSE_PROJECT_NAME=#{outpost.project}
    VERSION=none
    RELEASE_NODE=#{outpost.node}
    RELEASE_COOKIE=#{Node.get_cookie()}
    MISSION_CONTROL_HOST=#{node()}
    CONTAINER_SOCKET_PATH=#{Engine.docker().socket}
    OTTURNAUT_DIST_BIND=127.0.0.1
    OTTURNAUT_HTTP_PORT=#{outpost.caddy.http_port}
    OTTURNAUT_HTTPS_PORT=#{outpost.caddy.https_port}
    OTTURNAUT_AUTO_HTTPS=false
    OTTURNAUT_PORT_RANGE=#{outpost.range}
    OTTURNAUT_BUILD_BINARY=prebuilt
    OTTURNAUT_BUILD_BASE=#{variable!("HARNESS_COMPOSE_BASE")}
    CADDY_ADMIN_PORT=#{outpost.caddy.admin_port}
    CADDY_IMAGE=#{variable!("HARNESS_COMPOSE_CADDY")}
    """

    File.write!(Path.join(outpost.dir, ".env"), env)
  end

  # A version's tag, with which no other run has anything to do.
  defp tag(outpost, version), do: version <> outpost.tag
  defp image(outpost, version), do: "otturnaut:" <> tag(outpost, version)

  defp compose(outpost, args, version) do
    # What a shell exports goes before .env: so an operator may give the version, too.
    env = [{"VERSION", tag(outpost, version)}]
    System.cmd("docker", ["compose" | args], cd: outpost.dir, env: env, stderr_to_stdout: true)
  end

  defp compose!(outpost, args, version \\ @first) do
    case compose(outpost, args, version) do
      {output, 0} -> output
      {output, status} -> raise "docker compose #{Enum.join(args, " ")} ended with #{status}: #{output}"
    end
  end

  defp up!(outpost, version) do
    compose!(outpost, ["up", "--detach"], version)
    await!(outpost, version)
  end

  # The agent of this version answers.
  defp await!(outpost, version) do
    Wait.until("#{outpost.node} of #{version}", fn ->
      agent = container(outpost, "otturnaut")
      agent && agent["Config"]["Image"] == image(outpost, version) && Node.ping(outpost.node) == :pong
    end)
  end

  # What the engine says of a service's container.
  defp container(outpost, service) do
    case System.cmd("docker", ["inspect", "#{outpost.project}-#{service}-1"], stderr_to_stdout: true) do
      {output, 0} -> output |> Json.decode() |> hd()
      _ -> nil
    end
  end

  defp id(outpost, service), do: container(outpost, service)["Id"]

  defp page(outpost, app), do: Caddy.page(outpost.caddy, "#{app}.localhost")

  defp requests!(outpost, app) do
    load = Load.start(outpost.caddy, "#{app}.localhost")
    more!(load)
    load
  end

  # Some requests more than until now.
  defp more!(load) do
    seen = Load.total(load)
    Wait.until("more requests", fn -> Load.total(load) > seen + 50 end)
  end

  # Processes of a container: `{user id, supplementary groups, effective capabilities}` by command.
  defp processes(name) do
    {output, 0} = System.cmd("docker", ["top", name, "-eo", "pid,args"])

    for line <- output |> String.split("\n", trim: true) |> tl(), into: %{} do
      [pid, command] = String.split(String.trim(line), ~r/\s+/, parts: 2)
      status = File.read!("/proc/#{pid}/status")
      field = fn name -> Regex.run(~r/^#{name}:[ \t]*(.*)$/m, status) |> List.last() |> String.split() end
      {command, %{user: hd(field.("Uid")), groups: field.("Groups"), capabilities: hd(field.("CapEff"))}}
    end
  end

  defp agent_process(name) do
    Wait.until("the agent of #{name}", fn -> processes(name)["otturnaut start"] end)
  end

  defp no_deploys(outpost),
    do: Wait.until("no deploy", fn -> call(outpost.node, Deployment, :list, []) in [[], {:ok, []}] end)

  test "the image is labelled and small, and its agent is well and not root", %{outpost: outpost} do
    {output, 0} =
      System.cmd("docker", ["image", "inspect", image(outpost, @first), variable!("HARNESS_COMPOSE_BASE")])

    [image, base] = Json.decode(output)
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "otturnaut"
    assert labels["org.opencontainers.image.version"] == tag(outpost, @first)
    assert labels["org.opencontainers.image.description"] =~ "deploys web applications"

    # Beside Debian and the binary, which is one for tests here.
    binary = File.stat!(variable!("HARNESS_COMPOSE_BINARY")).size
    assert image["Size"] - base["Size"] - binary < 60_000_000

    name = "#{outpost.project}-otturnaut-1"
    group = File.stat!(Engine.docker().socket).gid
    assert %{user: "10001", groups: ["#{group}"], capabilities: "0000000000000000"} == agent_process(name)
    assert compose!(outpost, ["exec", "-T", "otturnaut", "otturnaut", "version"]) =~ ~r/^otturnaut \d/
    refute compose!(outpost, ["logs", "otturnaut"]) =~ "#{Node.get_cookie()}"

    # What the health check asks, by whom it is asked; and where no agent is.
    compose!(outpost, ["exec", "-T", "otturnaut", "otturnaut", "ping"])
    nowhere = ["exec", "-T", "-e", "OTTURNAUT_DATA_DIR=/nowhere", "otturnaut", "otturnaut", "ping"]
    assert {_, 69} = compose(outpost, nowhere, @first)

    Wait.until(
      "the agent's container to be healthy",
      fn -> container(outpost, "otturnaut")["State"]["Health"]["Status"] == "healthy" end,
      60_000
    )
  end

  test "an application is built, deployed and seen; both services restart under it", %{
    outpost: outpost,
    app: app
  } do
    repository = Repo.create!("built")
    port = Ports.free()

    args = [
      "daemon",
      "--reuseaddr",
      "--export-all",
      "--listen=127.0.0.1",
      "--port=#{port}",
      "--base-path=#{repository}"
    ]

    daemon = OsProcess.start("git", args: args ++ [repository])
    Wait.until("git's daemon", fn -> Ports.open?(port) end)
    on_exit(fn -> File.rm_rf!(repository) end)

    assert {:ok, built} =
             call(outpost.node, Build, :run, [
               app,
               %{repo_url: "git://127.0.0.1:#{port}/.git", ref: "main"},
               []
             ])

    OsProcess.stop(daemon)
    on_exit(fn -> Engine.remove_image(Engine.docker(), built) end)
    assert {:ok, d} = deploy(outpost.node, app, %{image: built, env: %{}})
    assert {:ok, 200, "built\n"} == page(outpost, app)

    Wait.until("the application's line", fn ->
      {:ok, lines} = call(outpost.node, Otturnaut.Logs, :tail, [app, 10])
      {:stdout, "starting built"} in lines
    end)

    assert compose!(outpost, ["logs", "--no-color", "otturnaut"]) =~ "ready node=#{outpost.node}"

    load = requests!(outpost, app)
    compose!(outpost, ["restart", "otturnaut"])
    await!(outpost, @first)
    more!(load)
    assert_served(Load.stop(load))
    assert {:ok, %{deployment_id: id}} = call(outpost.node, AppState, :get, [app])
    assert id == d.id

    compose!(outpost, ["restart", "caddy"])
    Wait.until("the page after Caddy's restart", fn -> page(outpost, app) == {:ok, 200, "built\n"} end)
    # The agent has looked at it many times: each would be a line.
    refute compose!(outpost, ["logs", "--no-color", "caddy"]) =~ "received request"
    assert :ok == undeploy(outpost.node, d)
    assert [] == Engine.containers(Engine.docker(), app)
  end

  test "a new version under traffic: no request fails, Caddy and the application stay", %{
    outpost: outpost,
    app: app
  } do
    up!(outpost, @first)
    assert {:ok, _} = deploy(outpost.node, app)
    before = {id(outpost, "caddy"), Engine.containers(Engine.docker(), app) |> Enum.map(& &1["Id"])}
    load = requests!(outpost, app)
    up!(outpost, @second)
    more!(load)
    assert {:ok, two} = deploy(outpost.node, app, %{env: %{"PAGE" => "two"}})
    more!(load)
    assert_served(Load.stop(load))
    {caddy, [first]} = before
    assert caddy == id(outpost, "caddy")
    assert {:ok, 200, "two\n"} == page(outpost, app)
    # The new agent took up what the old one had started, and replaced it.
    assert two.previous_container_name
    refute Engine.exists?(Engine.docker(), first)

    # Back to the old version, as after an upgrade that nobody liked.
    up!(outpost, @first)
    assert {:ok, 200, "two\n"} == page(outpost, app)
    assert :ok == undeploy(outpost.node, two)
  end

  test "a new version during a deploy that soon ends: the old agent ends it", %{outpost: outpost, app: app} do
    up!(outpost, @first)
    assert {:ok, _} = deploy(outpost.node, app)
    load = requests!(outpost, app)
    slow = deployment(outpost.node, app, %{env: %{"PAGE" => "two", "DELAY" => "4"}})
    running = deploying!(outpost, slow)
    up!(outpost, @second)
    assert {:ok, %{status: :completed}} = Task.await(running, 60_000)
    no_deploys(outpost)
    more!(load)
    assert_served(Load.stop(load))
    assert_whole(outpost, app, "two\n", slow.id)
    assert :ok == undeploy(outpost.node, slow)
    up!(outpost, @first)
  end

  test "a new version during a deploy that does not end: it is undone", %{outpost: outpost, app: app} do
    up!(outpost, @first)
    assert {:ok, one} = deploy(outpost.node, app)
    load = requests!(outpost, app)
    endless = deployment(outpost.node, app, %{env: %{"PAGE" => "two", "DELAY" => "300"}})

    running =
      deploying!(outpost, endless,
        health_check: [type: :http, path: "/", expected_status: 200, deadline: 240_000]
      )

    up!(outpost, @second)
    refute match?({:ok, _}, Task.await(running, 60_000))
    no_deploys(outpost)
    more!(load)
    assert_served(Load.stop(load))
    assert_whole(outpost, app, "one\n", one.id)
    assert :ok == undeploy(outpost.node, one)
    up!(outpost, @first)
  end

  # Deploys in the background, and has come to the new version's first start.
  defp deploying!(outpost, deployment, opts \\ []) do
    task = Task.async(fn -> execute(outpost.node, deployment, opts) end)

    Wait.until("the new version's container", fn ->
      Enum.any?(Engine.containers(Engine.docker(), deployment.app_id), fn container ->
        container["Labels"]["otturnaut.deployment_id"] == deployment.id and container["State"] == "running"
      end)
    end)

    task
  end

  # One version runs, it is the one that is known and the one that answers.
  defp assert_whole(outpost, app, page, deployment_id) do
    assert {:ok, 200, page} == page(outpost, app)
    assert {:ok, %{deployment_id: ^deployment_id}} = call(outpost.node, AppState, :get, [app])

    Wait.until("one container of #{app}", fn ->
      ids = for c <- Engine.containers(Engine.docker(), app), do: c["Labels"]["otturnaut.deployment_id"]
      ids == [deployment_id]
    end)
  end

  test "down takes the services away and leaves what they know", %{outpost: outpost, app: app} do
    up!(outpost, @first)
    assert {:ok, d} = deploy(outpost.node, app)
    compose!(outpost, ["down"])
    assert nil == container(outpost, "otturnaut")
    assert nil == container(outpost, "caddy")
    assert [%{"State" => "running"}] = Engine.containers(Engine.docker(), app)

    up!(outpost, @first)
    Wait.until("the page", fn -> page(outpost, app) == {:ok, 200, "one\n"} end)
    assert {:ok, %{deployment_id: id}} = call(outpost.node, AppState, :get, [app])
    assert id == d.id
    assert :ok == undeploy(outpost.node, d)
  end

  # The image by itself, with a socket, a directory for its data and further arguments; the container's name.
  defp run_image!(outpost, socket, data, args) do
    name = "#{outpost.project}-alone-#{Agent.unique()}"

    env = [
      "RELEASE_NODE=alone_#{Agent.unique()}@127.0.0.1",
      "RELEASE_COOKIE=#{Node.get_cookie()}",
      "CONTAINER_SOCKET=/run/engine.sock",
      "CADDY_ADMIN_URL=http://127.0.0.1:#{Ports.free()}",
      "OTTURNAUT_PORT_RANGE=#{outpost.range}",
      "OTTURNAUT_DIST_BIND=127.0.0.1"
    ]

    args =
      ["run", "--detach", "--network", "host", "--name", name, "--volume", "#{socket}:/run/engine.sock"] ++
        ["--volume", "#{data}:/data"] ++
        args ++ Enum.flat_map(env, &["--env", &1]) ++ [image(outpost, @first)]

    on_exit(fn -> System.cmd("docker", ["rm", "--force", name], stderr_to_stdout: true) end)
    {_, 0} = System.cmd("docker", args, stderr_to_stdout: true)
    name
  end

  defp log(name) do
    {output, 0} = System.cmd("docker", ["logs", name], stderr_to_stdout: true)
    output
  end

  defp ready!(name), do: Wait.until("#{name} to be ready", fn -> log(name) =~ "ready" end)

  defp ends!(name) do
    {_, 0} = System.cmd("docker", ["stop", "--time", "40", name], stderr_to_stdout: true)
    {output, 0} = System.cmd("docker", ["inspect", "--format", "{{.State.ExitCode}}", name])
    assert String.trim(output) == "0"
  end

  test "the agent stays root where the socket is root's alone, and its directory follows", %{outpost: outpost} do
    data = Path.join(outpost.dir, "data")

    for {socket, user, owner} <- [
          {Engine.docker().socket, "10001", 10_001},
          {Engine.podman().socket, "0", 0},
          {Engine.docker().socket, "10001", 10_001}
        ] do
      name = run_image!(outpost, socket, data, [])
      assert agent_process(name).user == user
      Wait.until("the engine to answer", fn -> log(name) =~ "the container engine answers" end)
      for path <- [data, "#{data}/journal", "#{data}/routes"], do: assert(File.stat!(path).uid == owner)
      {answer, 0} = System.cmd("docker", ["exec", name, "otturnaut", "version"])
      assert answer =~ "otturnaut"
      ends!(name)
    end
  end

  test "a private key that root alone reads is handed to the agent", %{outpost: outpost} do
    authority = Certificates.authority!()
    %{certificate: certificate, key: key} = Certificates.issue!(authority, "node")
    File.chmod!(key, 0o600)
    tls = ["--volume", "#{authority.dir}:/tls:ro"]

    names = ["CERT=/tls/#{Path.basename(certificate)}", "KEY=/tls/#{Path.basename(key)}", "CA=/tls/ca.pem"]
    args = tls ++ Enum.flat_map(names, &["--env", "OTTURNAUT_DIST_TLS_" <> &1])
    name = run_image!(outpost, Engine.docker().socket, Path.join(outpost.dir, "data-tls"), args)
    ready!(name)
    assert agent_process(name).user == "10001"
    refute log(name) =~ "not encrypted"
    ends!(name)
  end

  # A project of a file on an engine: Podman's API is Docker's.
  defp on_engine(outpost, engine, file, args) do
    env = [{"DOCKER_HOST", "unix://#{engine.socket}"}]
    args = ["compose", "--env-file", "podman.env", "--file", file] ++ args
    System.cmd("docker", args, cd: outpost.dir, env: env, stderr_to_stdout: true)
  end

  # Up, a deploy and one over it, down.
  defp lives_on!(outpost, app, engine, file) do
    caddy = %{admin_port: Ports.free(), http_port: Ports.free(), https_port: Ports.free()}
    there = %{outpost | node: :"outpost_#{Agent.unique()}@127.0.0.1", caddy: caddy}
    images = [image(outpost, @first), variable!("HARNESS_COMPOSE_CADDY")]

    File.write!(Path.join(outpost.dir, "podman.env"), """
    COMPOSE_PROJECT_NAME=#{outpost.project}-podman
    VERSION=#{tag(outpost, @first)}
    RELEASE_NODE=#{there.node}
    RELEASE_COOKIE=#{Node.get_cookie()}
    MISSION_CONTROL_HOST=#{node()}
    CONTAINER_SOCKET_PATH=#{engine.socket}
    OTTURNAUT_DIST_BIND=127.0.0.1
    OTTURNAUT_HTTP_PORT=#{caddy.http_port}
    OTTURNAUT_HTTPS_PORT=#{caddy.https_port}
    OTTURNAUT_AUTO_HTTPS=false
    OTTURNAUT_PORT_RANGE=#{outpost.range}
    CADDY_ADMIN_PORT=#{caddy.admin_port}
    CADDY_IMAGE=#{variable!("HARNESS_COMPOSE_CADDY")}
    """)

    script = "docker save #{Enum.join(images, " ")} | docker --host unix://#{engine.socket} load"
    {_, 0} = System.cmd("sh", ["-c", script], stderr_to_stdout: true)

    on_exit(fn ->
      on_engine(outpost, engine, file, ["down", "--volumes", "--timeout", "0"])
      Harness.clean(app, engine)
      for image <- images, do: Engine.remove_image(engine, "localhost/#{image}")
    end)

    {output, status} = on_engine(outpost, engine, file, ["up", "--detach", "--no-build", "--pull", "never"])
    assert status == 0, output
    Wait.until("#{there.node}", fn -> Node.ping(there.node) == :pong end)
    assert {:ok, d} = deploy(there.node, app, %{image: Images.web(engine)})
    assert {:ok, 200, "one\n"} == page(there, app)
    assert [_] = Engine.containers(engine, app)
    assert {:ok, two} = deploy(there.node, app, %{image: Images.web(engine), env: %{"PAGE" => "two"}})
    assert two.previous_container_name == d.container_name
    assert {:ok, 200, "two\n"} == page(there, app)
    assert :ok == undeploy(there.node, two)
    assert {_, 0} = on_engine(outpost, engine, file, ["down", "--volumes"])
  end

  test "the one for development runs on Podman without root", %{outpost: outpost, app: app} do
    # Nothing has to be set.
    args = ~w(compose --env-file /dev/null --file docker-compose.dev.yml config)
    assert {config, 0} = System.cmd("docker", args, cd: outpost.dir)
    assert config =~ "8080" and config =~ "podman/podman.sock"
    rootless = %Engine{module: Otturnaut.Runtime.Docker, socket: variable!("HARNESS_ROOTLESS_SOCKET")}
    lives_on!(outpost, app, rootless, "docker-compose.dev.yml")
  end

  test "the one of an outpost runs on Podman, too", %{outpost: outpost, app: app} do
    lives_on!(outpost, app, %{Engine.podman() | module: Otturnaut.Runtime.Docker}, "docker-compose.yml")
  end
end
