defmodule SourceTest do
  @moduledoc "Otturnaut.Source.Git and Otturnaut.Build: from a repository to an image."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.Build
  alias Otturnaut.Source.Git

  setup_all do
    repo = Repo.create!("v1")
    first = Repo.head(repo)
    Repo.git!(repo, ["tag", "v1"])
    second = Repo.commit!(repo, "v2")
    Repo.git!(repo, ["branch", "feature"])
    Repo.git!(repo, ["checkout", "--quiet", "feature"])
    third = Repo.commit!(repo, "v3")
    Repo.git!(repo, ["checkout", "--quiet", "main"])
    on_exit(fn -> File.rm_rf!(repo) end)
    {:ok, repo: repo, first: first, second: second, third: third}
  end

  test "a clone of a branch, a tag and a commit", %{node: node} = c do
    for {opts, commit} <- [
          {[], c.second},
          {[ref: "feature"], c.third},
          {[ref: "v1"], c.first},
          {[ref: c.first], c.first},
          {[ref: c.first, depth: nil], c.first}
        ] do
      assert {:ok, path, ^commit} = call(node, Git, :clone, ["file://" <> c.repo, opts])
      assert File.exists?(Path.join(path, "Dockerfile"))
      assert :ok == call(node, Git, :cleanup, [path])
      refute File.exists?(path)
      assert :ok == call(node, Git, :cleanup, [path])
    end
  end

  test "a clone is shallow unless asked otherwise", %{node: node} = c do
    for {opts, count} <- [{[], "1"}, {[depth: nil], "2"}] do
      {:ok, path, _} = call(node, Git, :clone, ["file://" <> c.repo, opts])

      assert count ==
               path |> Repo.git!(["-c", "safe.directory=*", "rev-list", "--count", "HEAD"]) |> String.trim()

      call(node, Git, :cleanup, [path])
    end
  end

  test "cleanup touches nothing outside the agent's directories", %{node: node} = c do
    call(node, Git, :cleanup, [c.repo])
    call(node, Git, :cleanup, ["/etc/../etc"])
    assert File.exists?(c.repo) and File.exists?("/etc/passwd")
  end

  test "what cannot be cloned", %{node: node} = c do
    assert {:error, {:clone_failed, {:exit, 128}, output}} =
             call(node, Git, :clone, ["file://#{System.tmp_dir!()}/nowhere/at/all", []])

    assert output =~ "fatal"
    assert {:error, {failed, {:exit, _}, _}} = call(node, Git, :clone, ["file://" <> c.repo, [ref: "nope"]])
    assert failed in [:checkout_failed, :clone_failed]

    for {url, opts, what} <- [
          {"--upload-pack=touch /tmp/x", [], "url"},
          {"ext::sh -c touch% /tmp/x", [], "url"},
          {"file:///etc", [], "OTTURNAUT_LOCAL_SOURCES"},
          {"https://me:s3cret@host/a;b", [], "url"},
          {"file://" <> c.repo, [ref: "--help"], "ref"},
          {"file://" <> c.repo, [ref: "main\nother"], "ref"},
          {"file://" <> c.repo, [ref: "main;x"], "ref"}
        ] do
      assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = call(node, Git, :clone, [url, opts])
      assert message =~ what
      refute message =~ "s3cret"
    end
  end

  test "a bad ref is :checkout_failed", %{node: node} = c do
    assert {:error, {:checkout_failed, {:exit, 1}, output}} =
             call(node, Git, :clone, ["file://" <> c.repo, [ref: "nope"]])

    assert output =~ "nope"
  end

  test "failed clones leave no directory", c do
    agent = own_agent!()
    before = files(agent)
    call(agent.node, Git, :clone, ["file://#{System.tmp_dir!()}/nowhere/at/all", []])
    call(agent.node, Git, :clone, ["file://" <> c.repo, [ref: "nope"]])
    assert before == files(agent)
  end

  test "git is missing", c do
    agent = own_agent!(env: %{"PATH" => "/nonexistent"})

    assert {:error, {:clone_failed, :command_not_found, _}} =
             call(agent.node, Git, :clone, ["file://" <> c.repo, []])

    assert node() != agent.node and :pong == Node.ping(agent.node)
  end

  test "images from a branch, a tag and a commit, with everything the engine says",
       %{node: node, app: app} = c do
    for {ref, commit} <- [{"main", c.second}, {"v1", c.first}, {c.third, c.third}] do
      tag = "otturnaut-#{app}:#{commit}"

      assert {:ok, ^tag} =
               call(node, Build, :run, [app, %{repo_url: "file://" <> c.repo, ref: ref}, [subscriber: self()]])

      assert tag == call(node, Build, :image_tag, [app, commit])
      assert Engine.image?(Engine.docker(), tag)
      messages = mailbox()
      steps = for {:build_progress, step, text} <- messages, is_binary(text), do: step

      assert Enum.dedup(steps) == [:cloning, :building, :complete, :cleanup] or
               Enum.dedup(steps) == [:cloning, :building, :cleanup, :complete]

      lines = for {:command_output, pid, {:stdout, line}} <- messages, is_pid(pid), do: line
      assert Enum.any?(lines, &(&1 =~ "FROM scratch"))
    end
  after
    for commit <- [c.first, c.second, c.third],
        do: Engine.remove_image(Engine.docker(), "otturnaut-#{c.app}:#{commit}")
  end

  test "what was built runs", %{node: node, app: app, caddy: caddy} = c do
    assert {:ok, tag} = call(node, Build, :run, [app, %{repo_url: "file://" <> c.repo, ref: "main"}])
    assert {:ok, d} = deploy(node, app, %{image: tag, env: %{}})
    assert {:ok, 200, "v2\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert :ok == undeploy(node, d)
  after
    Engine.remove_image(Engine.docker(), "otturnaut-#{c.app}:#{c.second}")
  end

  test "builds that fail leave nothing", %{app: app} = c do
    agent = own_agent!()
    before = files(agent)

    run = fn config ->
      call(agent.node, Build, :run, [app, Map.merge(%{repo_url: "file://" <> c.repo, ref: "main"}, config)])
    end

    assert {:error, {:clone_failed, {:clone_failed, {:exit, 128}, _}}} =
             run.(%{repo_url: "file://#{System.tmp_dir!()}/nowhere/at/all"})

    assert {:error, {:build_failed, _}} = run.(%{dockerfile: "No.such.Dockerfile"})
    assert before == files(agent)
  end

  test "a build step that fails says so", %{app: app, node: node} do
    repo = Repo.create!("x")
    on_exit(fn -> File.rm_rf!(repo) end)
    File.write!(Path.join(repo, "Dockerfile"), "RUN [\"/bin/busybox\", \"false\"]\n", [:append])
    Repo.commit!(repo, "x")

    assert {:error, {:build_failed, {:build_error, text}}} =
             call(node, Build, :run, [app, %{repo_url: "file://" <> repo, ref: "main"}])

    assert text =~ "non-zero"
  end

  test "build arguments", %{app: app, node: node} do
    repo = Repo.create!("x")
    on_exit(fn -> File.rm_rf!(repo) end)
    File.write!(Path.join(repo, "Dockerfile"), "ARG COLOUR\nLABEL colour=$COLOUR\n", [:append])
    Repo.commit!(repo, "x")
    config = %{repo_url: "file://" <> repo, ref: "main", build_args: %{"COLOUR" => "dark blue"}}
    assert {:ok, tag} = call(node, Build, :run, [app, config])
    {:ok, 200, image} = Http.get({:unix, Engine.docker().socket}, "/images/#{tag}/json")
    assert %{"colour" => "dark blue"} = Harness.Json.decode(image)["Config"]["Labels"]
    Engine.remove_image(Engine.docker(), tag)
  end

  test "a build secret is there for its step, and in no image, message or log", %{app: app, node: node} do
    repo = Repo.create!("x")
    on_exit(fn -> File.rm_rf!(repo) end)
    # A step of its own: of one that was built before nothing is said.
    step =
      ~s(ENV RUN_OF=#{app}\nRUN --mount=type=secret,id=token ["/bin/busybox", "wc", "-c", "/run/secrets/token"]\n)

    File.write!(Path.join(repo, "Dockerfile"), step, [:append])
    Repo.commit!(repo, "x")
    secret = "tr0ub4dor-#{app}"
    config = %{repo_url: "file://" <> repo, ref: "main", build_secrets: %{"token" => secret}}
    assert {:ok, tag} = call(node, Build, :run, [app, config, [subscriber: self()]])
    lines = for {:command_output, _, {:stdout, line}} <- mailbox(), do: line
    assert "#{byte_size(secret)} /run/secrets/token" in lines
    refute inspect(lines) =~ secret
    {:ok, 200, image} = Http.get({:unix, Engine.docker().socket}, "/images/#{tag}/json")
    refute image =~ secret
    path = Path.join(System.tmp_dir!(), "#{app}.tar")
    on_exit(fn -> File.rm(path) end)
    refute File.read!(Engine.save!(Engine.docker(), tag, path)) =~ secret
    Engine.remove_image(Engine.docker(), tag)

    # BuildKit takes no bounds.
    bounded = Map.put(config, :resources, %{memory: "64m"})
    assert {:error, {:build_failed, {:build_error, why}}} = call(node, Build, :run, [app, bounded])
    assert why =~ "takes no bounds"

    odd = %{config | build_secrets: %{"a,src=/etc/shadow" => secret}}
    assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = call(node, Build, :run, [app, odd])
    assert message =~ "config.build_secrets: wanted at most"
    refute message =~ secret
  end

  # What is in the agent's directory, but for the directories that it always has.
  defp files(agent) do
    agent.data_dir
    |> Path.join("*/**")
    |> Path.wildcard(match_dot: true)
    |> Enum.reject(&(Path.dirname(&1) == agent.data_dir))
    |> Enum.sort()
  end
end
