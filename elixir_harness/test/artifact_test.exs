defmodule ArtifactTest do
  @moduledoc "Deployments that say where their image comes from: a repository, an archive here, an archive of a server."
  use Harness.Case

  @moduletag :machine

  alias Harness.Certificates
  alias Otturnaut.Deployment

  setup %{app: app} do
    docker = Engine.docker()
    dir = Path.join(System.tmp_dir!(), "otturnaut-artifact-#{Harness.Agent.unique()}")
    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    {:ok, docker: docker, dir: dir, image: "otturnaut-#{app}-artifact:1"}
  end

  # An archive of an image of that name; here is none of it then.
  defp archive!(%{docker: docker, dir: dir, image: image}) do
    Images.own!(image)
    path = Path.join(dir, "image.tar")
    Engine.save!(docker, image, path)
    Engine.remove_image(docker, image)
    refute Engine.image?(docker, image)
    path
  end

  defp of(node, app, origin) do
    attrs = %{
      app_id: app,
      container_port: 8080,
      domains: ["#{app}.localhost"],
      env: %{"PAGE" => "here"}
    }

    call(node, Deployment, :new, [Map.merge(attrs, origin)])
  end

  defp steps(messages), do: for({:deployment_progress, %{step: step}} <- messages, do: step)

  test "one of image, source and artifact must be given, and only one", %{node: node, app: app} do
    text =
      "the following keys must also be given when building struct Otturnaut.Deployment: [:image, :container_port]"

    assert {:badrpc, {:EXIT, {%ArgumentError{message: ^text}, _}}} =
             call(node, Deployment, :new, [%{app_id: app}])

    d = of(node, app, %{image: "a", artifact: {:load, "/s3cret.tar"}})
    assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = execute(node, d)
    assert message =~ "deployment.artifact: wanted one of image, source and artifact"
    refute message =~ "s3cret"
  end

  test "an archive of this machine is loaded, runs, and goes with its application", c do
    %{node: node, app: app, caddy: caddy, docker: docker, image: image} = c
    d = of(node, app, %{artifact: {:load, archive!(c)}})
    assert d.image == nil
    assert {:ok, plan} = call(node, Deployment, :plan, [d])
    assert Enum.any?(plan.steps, &match?(%{step: :obtain_image}, &1))
    assert {:ok, done} = execute(node, d, subscriber: self())
    assert done.image == image
    assert {:ok, 200, "here\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert :obtain_image in steps(mailbox())
    assert [%{image: ^image, current: true}] = call(node, Deployment, :releases, [app])
    assert :ok == undeploy(node, done)
    refute Engine.image?(docker, image)
  end

  test "an archive of a server is fetched and verified", %{node: node, app: app, dir: dir} = c do
    sha256 = :crypto.hash(:sha256, File.read!(archive!(c))) |> Base.encode16(case: :lower)
    port = Ports.free()
    server = OsProcess.start(Images.busybox(), args: ["httpd", "-f", "-p", "127.0.0.1:#{port}", "-h", dir])
    on_exit(fn -> OsProcess.stop(server, :KILL) end)
    url = "http://127.0.0.1:#{port}/image.tar"
    Wait.until("the server", fn -> match?({:ok, 200, _}, Http.get({"127.0.0.1", port}, "/image.tar")) end)

    wrong = String.duplicate("0", 64)
    d = of(node, app, %{artifact: {:fetch, url, sha256: wrong}})
    assert {:error, {:artifact_failed, {:checksum_mismatch, sums}}, failed} = execute(node, d)
    assert sums == %{wanted: wrong, got: sha256}
    assert failed.status == :failed
    assert_nothing_left(c, app)

    missing = of(node, app, %{artifact: {:fetch, url <> ".gz", sha256: sha256}})
    assert {:error, {:artifact_failed, {:fetch_failed, {:http_status, 404}}}, _} = execute(node, missing)

    right = of(node, app, %{artifact: {:fetch, url, sha256: sha256}})
    assert {:ok, done} = execute(node, right, subscriber: self())
    assert [:fetch_source, :obtain_image | _] = Enum.dedup(steps(mailbox()))
    assert {:ok, 200, "here\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    assert [%{content: {:sha256, ^sha256}}] = call(node, Deployment, :releases, [app])
    assert :ok == undeploy(node, done)
  end

  # A server of one file over TLS; with `:elsewhere` it leads to that address instead.
  defp https!(file, %{certificate: certificate, key: key}, elsewhere \\ nil) do
    {:ok, _} = Application.ensure_all_started(:ssl)
    options = [:binary, packet: :http_bin, active: false, log_level: :error, ip: {127, 0, 0, 1}]
    {:ok, listener} = :ssl.listen(0, options ++ [certfile: certificate, keyfile: key])
    {:ok, {_, port}} = :ssl.sockname(listener)
    content = File.read!(file)

    answer =
      if elsewhere,
        do: "HTTP/1.1 302 Found\r\nlocation: #{elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        else: [
          "HTTP/1.1 200 OK\r\ncontent-length: #{byte_size(content)}\r\nconnection: close\r\n\r\n",
          content
        ]

    start_supervised!({Task, fn -> serve(listener, answer) end}, id: make_ref())
    "https://127.0.0.1:#{port}/image.tar"
  end

  defp serve(listener, answer) do
    {:ok, socket} = :ssl.transport_accept(listener)

    # Who does not trust it hangs up.
    with {:ok, socket} <- :ssl.handshake(socket, 5_000),
         {:ok, _} <- :ssl.recv(socket, 0, 5_000) do
      :ssl.send(socket, answer)
      :ssl.shutdown(socket, :write)
    end

    serve(listener, answer)
  end

  # Of the releases only this machine's has `:ssl`.
  @tag :once
  test "an archive comes over TLS from whom the machine trusts, and from nobody else", c do
    %{app: app, caddy: caddy, docker: docker, image: image} = c
    path = archive!(c)
    sha256 = :crypto.hash(:sha256, File.read!(path)) |> Base.encode16(case: :lower)
    [trusted, stranger] = for _ <- 1..2, do: Certificates.authority!()
    agent = Agent.start!(caddy: caddy, env: %{"SSL_CERT_FILE" => trusted.authority})
    of = &of(agent.node, app, %{artifact: {:fetch, &1, sha256: sha256}})
    good = Certificates.issue!(trusted, "good")
    strange = https!(path, Certificates.issue!(stranger, "strange"))
    misnamed = https!(path, Certificates.issue!(trusted, "misnamed", "10.9.9.9"))
    leads_away = https!(path, good, "http://127.0.0.1:1/image.tar")

    for {url, why} <- [
          {strange, "invalid peer certificate"},
          {misnamed, "not valid for"},
          {leads_away, "away from https"}
        ] do
      assert {:error, {:artifact_failed, {:fetch_failed, {:refused, told}}}, _} =
               execute(agent.node, of.(url))

      assert told =~ why
    end

    refute Engine.image?(docker, image)
    assert {:ok, done} = execute(agent.node, of.(https!(path, good)))
    assert {:ok, 200, "here\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert :ok == undeploy(agent.node, done)
    refute Engine.image?(docker, image)
  end

  test "what is no archive is told, and nothing is left", %{node: node, app: app, dir: dir} = c do
    path = Path.join(dir, "junk.tar")
    File.write!(path, String.duplicate("junk", 1000))
    d = of(node, app, %{artifact: {:load, path}})
    assert {:error, {:artifact_failed, {:load_failed, {:invalid_archive, text}}}, _} = execute(node, d)
    assert text =~ "archive"
    gone = of(node, app, %{artifact: {:load, path <> ".gone"}})
    assert {:error, {:artifact_failed, {:load_failed, {:file_read_error, :enoent}}}, _} = execute(node, gone)
    assert_nothing_left(c, app)
  end

  test "a repository is built and deployed in one call", %{node: node, app: app, docker: docker} = c do
    repo = Repo.create!("built")
    on_exit(fn -> File.rm_rf!(repo) end)
    commit = Repo.head(repo)
    d = of(node, app, %{env: %{}, source: %{repo_url: "file://" <> repo, ref: "main"}})
    assert {:ok, done} = execute(node, d, subscriber: self())
    assert done.image == "otturnaut-#{app}:#{commit}"
    assert {:ok, 200, "built\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    messages = mailbox()
    assert [:fetch_source, :obtain_image, :allocate_port | _] = Enum.dedup(steps(messages))
    lines = for {:command_output, pid, {:stdout, line}} <- messages, is_pid(pid), do: line
    assert Enum.any?(lines, &(&1 =~ "FROM scratch"))
    assert [%{content: {:commit, ^commit}}] = call(node, Deployment, :releases, [app])

    bad = of(node, app, %{source: %{repo_url: "file://" <> repo, ref: "nope"}})

    assert {:error, {:source_failed, {:clone_failed, {:checkout_failed, {:exit, 1}, _}}}, _} =
             execute(node, bad)

    broken = of(node, app, %{source: %{repo_url: "file://" <> repo, ref: "main", dockerfile: "None"}})
    assert {:error, {:source_failed, {:build_failed, _}}, _} = execute(node, broken)
    hostile = of(node, app, %{source: %{repo_url: "ext::sh -c id", ref: "main"}})
    assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = execute(node, hostile)
    assert message =~ "deployment.source.repo_url"

    assert {:ok, 200, "built\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    assert :ok == undeploy(node, done)
    refute Engine.image?(docker, done.image)
  end
end
