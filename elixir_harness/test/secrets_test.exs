defmodule SecretsTest do
  @moduledoc """
  Secrets are planted wherever one can be put, and then looked for in all bytes that the agent leaves: log, errors, messages,
  events, files, processes, metrics, states, labels and histories of images. What is no secret and must be there is found there
  by the same search.
  """
  use Harness.Case

  alias Harness.{GitServer, ProcessSpy, Secrets}
  alias Otturnaut.{Build, Command, Deployment, Events, HealthCheck, HealthMonitor, Source}

  @moduletag :once
  @moduletag timeout: 180_000

  @planted [
    :cookie,
    :env,
    :build_secret,
    :repo_password,
    :wrong_password,
    :ssh_key,
    :registry_password,
    :archive_password,
    :archive_token,
    :command_env,
    :command_argument,
    :release_env,
    :check_argument,
    :misplaced
  ]

  for format <- ["text", "json"] do
    test "no secret is anywhere, log as #{format}", %{app: app} do
      secrets = Map.new(@planted, &{&1, Secrets.make()})
      rig = rig!(unquote(format), secrets)
      seen = run!(rig, app, secrets)

      leaks =
        for answer <- seen.answers,
            [_ | _] = names <- [Secrets.found(Secrets.text(answer), secrets)],
            do: {names, answer}

      assert [] == leaks

      assert [] ==
               for(
                 {place, bytes} <- seen.places,
                 [_ | _] = names <- [Secrets.found(bytes, secrets)],
                 do: {place, names}
               )

      assert_processes(seen, secrets)
      assert_kept(seen, secrets)
      assert_search_finds(seen, app)
    end
  end

  defp rig!(format, secrets) do
    caddy = own_caddy!()
    metrics = Ports.free()

    env = %{
      "OTTURNAUT_LOG" => "trace",
      "OTTURNAUT_LOG_FORMAT" => format,
      "OTTURNAUT_METRICS_ADDR" => "127.0.0.1:#{metrics}"
    }

    agent = own_agent!(caddy: caddy, cookie: secrets.cookie, env: env)
    %{agent: agent, node: agent.node, metrics: metrics}
  end

  defp run!(%{agent: agent, node: node} = rig, app, secrets) do
    repo = repo!(app)
    server = GitServer.start!(repo, {"user", secrets.repo_password})
    on_exit(fn -> GitServer.stop(server) end)

    spy =
      ProcessSpy.start(
        agent.process.os_pid,
        for(glob <- ["*", "logs/*"], do: Path.join(agent.data_dir, "sources/*/.git/#{glob}"))
      )

    assert {:ok, _} = call(node, Events, :subscribe, [self()])

    config = config(server, secrets)

    answers =
      commands(node, secrets) ++
        sources(node, app, {config, server, secrets}) ++ deploys(node, app, {config, secrets})

    answers =
      answers ++ refused(node, app, secrets) ++ artifacts(node, app, {server, secrets}) ++ looks(node, app)

    came = Enum.any?(GitServer.requests(server), &(&1 =~ Base.encode64("user:#{secrets.repo_password}")))
    assert came, "the password of the repository did not come to its server"

    assert {:ok, events} = call(node, Events, :since, [0])
    # What is on the way still.
    last = List.last(events).seq
    Wait.until("all events to be here", fn -> last_seen() >= last end)
    images = "#{images(app)} #{labels(app)}"
    kept = for {path, bytes} <- Secrets.files(agent.data_dir), do: {path, bytes, mode(path)}
    spied = ProcessSpy.stop(spy)
    {:ok, 200, page} = Http.get({"127.0.0.1", rig.metrics}, "/metrics")
    states = states(node)
    assert :ok == undeploy(node, deployment(node, app))
    assert 0 == Agent.stop(agent)

    places = %{
      log: Agent.log(agent),
      errors: Secrets.text(answers),
      messages: Secrets.text(kept_messages()),
      events: Secrets.text(events),
      files: for({path, bytes, _} <- kept, not secret_place?(path, agent), into: "", do: path <> bytes),
      sources: for({name, bytes} <- spied.files, into: "", do: name <> bytes),
      metrics: page,
      states: Secrets.text(states),
      images: images
    }

    %{places: places, answers: answers, spied: spied, kept: kept}
  end

  defp mode(path) do
    case File.stat(path) do
      {:ok, stat} -> Bitwise.band(stat.mode, 0o777)
      {:error, _} -> nil
    end
  end

  # SECURITY.md: the environment of releases and of programs is kept there.
  defp secret_place?(path, agent),
    do: Enum.any?(["releases", "units"], &String.starts_with?(path, Path.join(agent.data_dir, &1)))

  defp repo!(app) do
    repo = Repo.create!("one")
    on_exit(fn -> File.rm_rf!(repo) end)

    step = """
    ARG FAILS
    ARG NOTE
    RUN --mount=type=secret,id=token ["/bin/busybox", "sh", "-c", "echo step of #{app} $NOTE; test -s /run/secrets/token && test -z \\"$FAILS\\""]
    """

    File.write!(Path.join(repo, "Dockerfile"), step, [:append])
    Repo.commit!(repo, "one")
    repo
  end

  defp config(server, secrets) do
    password = URI.encode_www_form(secrets.repo_password)

    %{
      repo_url: "http://user:#{password}@127.0.0.1:#{server.port}/repo.git",
      ref: "main",
      build_args: %{"NOTE" => "note-of-the-build"},
      build_secrets: %{"token" => secrets.build_secret}
    }
  end

  # Arguments of a command are for all to see in the list of processes, its environment for its user: SECURITY.md.
  defp commands(node, secrets) do
    env = [env: %{"TOKEN" => secrets.command_env}, subscriber: self()]
    sleep = ["-c", "sleep 0.4; test -n \"$TOKEN\" # #{secrets.command_argument} argument-of-a-command"]

    [
      call(node, Command, :run, ["sh", sleep, env]),
      call(node, Command, :run, ["sh", ["-c", "exit 4 # #{secrets.command_argument}"], env]),
      call(node, Command, :run, ["no-such-program", [secrets.command_argument], env]),
      call(node, Command, :run, ["sleep", ["5"], [timeout: 20] ++ env]),
      call(node, Command, :run, ["true", [], [working_dir: "/nowhere"] ++ env])
    ]
  end

  defp sources(node, app, {config, server, secrets}) do
    at = "127.0.0.1:#{server.port}"
    key = Path.join(System.tmp_dir!(), "harness-key-#{app}")

    File.write!(
      key,
      "-----BEGIN OPENSSH PRIVATE KEY-----\n#{secrets.ssh_key}\n-----END OPENSSH PRIVATE KEY-----\n"
    )

    File.chmod!(key, 0o600)
    on_exit(fn -> File.rm!(key) end)
    {:ok, path, _} = cloned = call(node, Source.Git, :clone, [config.repo_url, [ref: "main"]])
    wrong = "http://user:#{URI.encode_www_form(secrets.wrong_password)}@#{at}/repo.git"

    [
      cloned,
      call(node, Source.Git, :cleanup, [path]),
      call(node, Source.Git, :clone, [config.repo_url, [ref: "no-such-branch"]]),
      call(node, Source.Git, :clone, [wrong, []]),
      call(node, Source.Git, :clone, ["ssh://git@127.0.0.1:1/shop.git", [ssh_key: key]]),
      call(node, Build, :run, [app, config, [subscriber: self()]]),
      call(node, Build, :run, [app, %{config | repo_url: wrong}, [subscriber: self()]]),
      call(node, Build, :run, [app, %{config | build_args: %{"FAILS" => "1"}}, [subscriber: self()]])
    ]
  end

  defp deploys(node, app, {config, secrets}) do
    env = %{"PAGE" => "one", "TOKEN" => secrets.env, "RELEASE_TOKEN" => secrets.release_env}
    task = ["/bin/busybox", "sh", "-c", "test -n \"$RELEASE_TOKEN\""]
    well = ["/bin/busybox", "test", "x#{secrets.check_argument}", "!=", "x"]
    ill = ["/bin/busybox", "test", "x#{secrets.check_argument}", "=", "x"]
    opts = [subscriber: self()]
    {:ok, _} = one = deploy(node, app, %{image: nil, source: config, env: env, release_command: task}, opts)
    {:ok, _} = two = deploy(node, app, %{env: env, health_check: %{type: :command, command: well}}, opts)

    for result <- [
          one,
          two,
          deploy(node, app, %{env: env, health_check: %{type: :command, command: ill, deadline: 500}}, opts),
          deploy(node, app, %{env: Map.put(env, "EXIT_AFTER", "0")}, opts),
          deploy(node, app, %{env: env, release_command: ["/bin/busybox", "false"]}, opts),
          deploy(node, app, %{env: env, image: "otturnaut-nothing-of-#{app}:1"}, opts),
          deploy(node, app, %{image: nil, env: env, source: %{config | build_args: %{"FAILS" => "2"}}}, opts),
          call(node, Deployment, :rollback, [app, opts])
        ],
        do: given_back(result)
  end

  defp artifacts(node, app, {server, secrets}) do
    at = "127.0.0.1:#{server.port}"
    auth = [auth: %{username: "user", password: secrets.registry_password}]
    password = URI.encode_www_form(secrets.archive_password)
    archive = &"http://user:#{password}@#{at}/#{&1}?sig=#{URI.encode_www_form(secrets.archive_token)}"
    sum = String.duplicate("ab", 32)

    me = self()

    # Each waits for what does not come: side by side, so as other applications.
    [
      {:registry, "#{at}/private:1", auth},
      {:fetch, archive.("archive"), [sha256: sum]},
      {:fetch, archive.("nothing"), [sha256: sum]},
      {:fetch, "http://user:#{password}@127.0.0.1:1/archive", [sha256: sum]}
    ]
    |> Enum.with_index()
    |> Enum.map(fn {artifact, at} ->
      Task.async(fn ->
        node |> deploy("#{app}-#{at}", %{image: nil, artifact: artifact}, subscriber: me) |> given_back()
      end)
    end)
    |> Enum.map(&Task.await(&1, 60_000))
  end

  # Secrets where they cannot be meant, in each form of text.
  defp refused(node, app, %{misplaced: word}) do
    numbers = String.to_charlist(word)
    struct = deployment(node, app)
    new = &call(node, Deployment, :new, [Map.merge(%{app_id: app, image: "a", container_port: 1}, &1)])
    run = &execute(node, Map.merge(struct, &1))
    source = %{repo_url: "http://user:#{word}@127.0.0.1:1/a.git", ref: "main"}

    made =
      for attrs <- [
            %{env: numbers},
            %{env: word},
            %{env: %{"TOKEN" => [numbers]}},
            %{env: [{word, :a, :b}]},
            %{image: nil, source: Map.put(source, :build_secrets, [word])},
            %{image: nil, source: Map.put(source, :build_secrets, %{"a b" => word})},
            %{image: nil, source: %{source | repo_url: numbers}},
            %{image: nil, source: %{source | repo_url: "nothing://user:#{word}@host"}},
            %{image: nil, source: Map.put(source, :ssh_key, "-----BEGIN KEY-----\n#{word}\n")},
            %{image: nil, source: Map.put(source, :ssh_key, numbers)},
            %{image: nil, artifact: {:registry, "a", [auth: %{username: word}]}},
            %{image: nil, artifact: {:registry, "a", [auth: word]}},
            %{image: nil, artifact: {:fetch, "http://user:#{word}@host/a", word}},
            %{image: nil, artifact: {:fetch, "ftp://user:#{word}@host/a", [sha256: "1"]}},
            %{health_check: %{type: :command, command: [numbers]}},
            %{health_check: %{type: :command, command: {word}}},
            %{release_command: [{word}]}
          ],
          answer <- [new.(attrs), run.(attrs)],
          do: given_back(answer)

    made ++
      [
        new.(%{restart: "marker-of-a-refusal"}),
        call(node, Command, :run, ["true", [], [env: %{"TOKEN" => [numbers]}]]),
        call(node, Command, :run, ["true", [], [env: numbers]]),
        call(node, Command, :run, ["true", [], [env: %{"A=B" => word}]]),
        call(node, Command, :run, ["true", [numbers], []]),
        call(node, Command, :run, ["true", ["a\0" <> word], []]),
        call(node, Source.Git, :clone, ["https://#{word}@ho st/a.git"]),
        call(node, Source.Git, :clone, [source.repo_url, [ssh_key: "-----BEGIN KEY-----\n#{word}\n"]]),
        call(node, Otturnaut.Runtime.Docker, :start, [
          %{name: "a", image: "a", container_port: 1, port: 1, env: [word]}
        ]),
        call(node, HealthCheck, :check, [
          %{type: :command, runtime: Otturnaut.Runtime.Docker, name: app, command: [numbers]}
        ])
      ]
  end

  # A struct comes back with what it came with; its reason, and what the agent made of the rest, is the agent's.
  defp given_back({:ok, %Deployment{} = d}), do: {:ok, theirs(d)}
  defp given_back({:error, reason, d}), do: {:error, reason, theirs(d)}
  defp given_back(%Deployment{} = d), do: theirs(d)
  defp given_back(other), do: other
  defp theirs(d), do: Map.drop(d, [:env, :source, :artifact, :health_check, :release_command])

  defp looks(node, app) do
    [
      call(node, Deployment, :releases, [app]),
      call(node, Deployment, :list, []),
      call(node, Deployment, :prune, [[dry_run: true]]),
      call(node, Otturnaut.AppState, :list, []),
      call(node, Otturnaut, :status, []),
      call(node, Otturnaut, :app, [app]),
      call(node, HealthMonitor, :status, []),
      call(node, Otturnaut.Caddy, :list_routes, []),
      call(node, Otturnaut.Disk, :usage, [])
    ]
  end

  defp states(node) do
    names =
      for name <- call(node, :erlang, :registered, []), String.starts_with?("#{name}", "Elixir."), do: name

    assert Otturnaut.AppState in names

    for name <- names,
        ask <- [:get_state, :get_status],
        do: {name, catch_all(fn -> apply(:sys, ask, [{name, node}]) end)}
  end

  defp catch_all(ask) do
    ask.()
  catch
    kind, reason -> {kind, reason}
  end

  defp labels(app), do: for(c <- Engine.containers(Engine.docker(), app), into: "", do: Secrets.text(c))

  # Images of this application: names, settings, and how they were made.
  defp images(app) do
    docker = Engine.docker()
    names = Engine.image_names(docker, "otturnaut-#{app}")
    on_exit(fn -> for name <- names, do: Engine.remove_image(docker, name) end)
    assert names != []

    for name <- names, what <- ["json", "history"], into: "" do
      {:ok, 200, text} = Http.get({:unix, docker.socket}, "/images/#{name}/#{what}")
      text
    end
  end

  # Messages are kept while those that come last are waited for.
  defp last_seen do
    Process.put(:messages, kept_messages())
    Enum.max([0 | for({:otturnaut_event, _, %{seq: seq}} <- Process.get(:messages), do: seq)])
  end

  defp kept_messages do
    Process.put(:messages, Process.get(:messages, []) ++ mailbox())
    Process.get(:messages)
  end

  defp assert_processes(%{spied: spied}, secrets) do
    assert spied.rounds > 100
    nobodys = Map.delete(secrets, :command_argument)

    for {program, text} <- spied.cmdlines,
        do: assert({program, []} == {program, Secrets.found(text, nobodys)})

    # Between its fork and its exec a child is the agent. Git asks a helper for its password, which a shell starts.
    for {program, text} <- spied.environs, program != Path.basename(Agent.binary()) do
      allowed = if text =~ "GIT_TERMINAL_PROMPT=", do: [:repo_password, :wrong_password], else: [:command_env]

      assert {program, []} == {program, Secrets.found(text, secrets) -- allowed}
    end

    # The spy sees what is there to be seen.
    assert Enum.any?(spied.cmdlines, fn {_, text} -> text =~ "argument-of-a-command" end)

    environs =
      for {program, text} <- spied.environs, name <- Secrets.found(text, secrets), do: {program, name}

    assert {"sleep", :command_env} in environs
    assert Enum.any?(environs, &match?({"git" <> _, :repo_password}, &1))
  end

  # The environment of releases is kept, readable for the agent's user alone; nothing else is.
  defp assert_kept(%{kept: kept}, secrets) do
    releases =
      for {path, bytes, mode} <- kept, path =~ "/releases/", do: {Secrets.found(bytes, secrets), mode}

    assert releases |> Enum.flat_map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort() == [
             :check_argument,
             :env,
             :release_env
           ]

    for {[_ | _], mode} <- releases, do: assert(mode == 0o600)
  end

  defp assert_search_finds(%{places: places}, app) do
    marker = %{marker: app}

    for place <- Map.keys(places) -- [:sources],
        do: assert({place, [:marker]} == {place, Secrets.found(places[place], marker)})

    assert places.sources =~ "refs/heads/main"
    assert places.errors =~ "marker-of-a-refusal"
    assert places.images =~ "note-of-the-build"
  end

  test "the search finds each form of a secret" do
    secret = Secrets.make()

    for text <- [
          secret,
          URI.encode_www_form(secret),
          Base.encode64("user:" <> secret),
          Base.encode64("a" <> secret <> "bc"),
          Base.url_encode64("ab" <> secret),
          inspect(String.to_charlist(secret), charlists: :as_lists, limit: :infinity),
          Harness.Json.encode(secret)
        ],
        do: assert([:it] == Secrets.found("before " <> text <> " after", %{it: secret}))

    assert [] == Secrets.found("something else", %{it: secret})
  end
end
