# What script/demo runs: Mission Control's side of a deploy, with the real agent, Caddy and Docker.

defmodule Demo do
  alias Harness.{Agent, Caddy, Engine, Images, Load, Repo, Wait}

  @app "hello"
  @domain "hello.localhost"

  def run(keep) do
    step("starting Caddy, the agent and a node in Mission Control's place")
    Harness.connect!("mission_control@127.0.0.1", :"demo-#{Agent.unique()}")
    # Caddy and the agent outlive this script with --keep.
    rig = Harness.rig!(env: %{"MISSION_CONTROL_HOST" => "#{node()}", "OTTURNAUT_LOG" => "info"})
    repo = repository!()

    try do
      show(rig, repo)
      deployment = play(rig, repo)
      if keep, do: stay(rig, repo), else: undeploy(rig, deployment)
    after
      clean(rig, repo)
    end
  end

  defp play(rig, repo) do
    first = commit!(repo, "v1")
    image = build(rig, repo)
    deployment = deploy(rig, image)
    page(rig, "v1")

    second = commit!(repo, "v2")
    image = build(rig, repo)
    say("#{workers()} clients ask for the page in a loop: a new connection each time, nothing is tried again")
    load = Load.start(rig.caddy, @domain, workers())
    Wait.until("requests", fn -> Load.total(load) > 100 end)
    over = deploy(rig, image)
    seen = Load.total(load)
    Wait.until("requests after the switch", fn -> Load.total(load) > seen + 100 end)
    %{total: total, failed: failed, reasons: reasons} = Load.stop(load)
    say("requests during the deploy: #{total}, failed: #{failed}")
    if failed > 0, do: raise("requests failed: #{inspect(reasons)}")
    page(rig, "v2")

    true = over.previous_container_name == deployment.container_name
    Process.put(:images, [first, second])
    over
  end

  defp repository! do
    repo = Path.join(System.tmp_dir!(), "otturnaut-demo-#{Agent.unique()}")
    File.cp_r!(Path.expand("../examples/hello", __DIR__), repo)
    File.cp!(Images.busybox(), Path.join(repo, "busybox"))
    File.chmod!(Path.join(repo, "busybox"), 0o755)
    Repo.git!(repo, ["init", "--quiet", "--initial-branch=main"])
    repo
  end

  defp commit!(repo, version) do
    page = Path.join(repo, "index.html")
    File.write!(page, String.replace(File.read!(page), ~r/version \S+</, "version #{version}<"))
    Repo.git!(repo, ["add", "--all"])
    Repo.git!(repo, ["commit", "--quiet", "--allow-empty", "--message", "Say #{version}"])
    Repo.head(repo)
  end

  defp build(rig, repo) do
    step("Otturnaut.Build.run: an image of #{Repo.head(repo)}")
    source = %{repo_url: "file://" <> repo, ref: "main"}
    answer = listening(fn me -> Harness.call(rig.agent.node, Otturnaut.Build, :run, [@app, source, [subscriber: me]]) end)
    {:ok, image} = answer
    say(image)
    image
  end

  defp deploy(rig, image) do
    step("Otturnaut.Deployment.execute: #{image}")
    attrs = %{image: image, domains: [@domain], env: %{}}
    answer = listening(fn me -> Harness.deploy(rig.agent.node, @app, attrs, subscriber: me) end)
    {:ok, deployment} = answer
    ms = DateTime.diff(deployment.completed_at, deployment.started_at, :millisecond)
    say("#{deployment.container_name} on port #{deployment.port}, #{ms} ms")
    deployment
  end

  defp undeploy(rig, deployment) do
    step("Otturnaut.Deployment.undeploy")
    :ok = listening(fn me -> Harness.undeploy(rig.agent.node, deployment, subscriber: me) end)
    [] = Engine.containers(Engine.docker(), @app)
    [] = Caddy.route_ids(rig.caddy)
    say("no container and no route is left")
  end

  defp page(rig, version) do
    step("the page, through Caddy")
    {:ok, 200, body} = Caddy.page(rig.caddy, @domain)
    IO.write(body)
    unless body =~ version, do: raise("the page does not show #{version}")
  end

  # Prints what the agent tells its subscriber while `call` runs.
  defp listening(call) do
    me = self()
    task = Task.async(fn -> call.(me) end)
    answer = listen(task)
    Process.demonitor(task.ref, [:flush])
    answer
  end

  defp listen(%Task{ref: ref} = task) do
    receive do
      {^ref, answer} -> answer
      {:build_progress, step, message} -> tell(step, message, task)
      {:deployment_progress, %{step: step, message: message}} -> tell(step, message, task)
      {:undeploy_progress, %{step: step, message: message}} -> tell(step, message, task)
      {:command_output, _, {_, line}} -> tell(:output, line, task)
      {:DOWN, ^ref, :process, _, reason} -> raise("the call broke off: #{inspect(reason)}")
      # Answers and downs of other processes.
      _ -> listen(task)
    end
  end

  defp tell(step, message, task) do
    say(String.pad_trailing("#{step}", 17) <> String.trim_trailing(message))
    listen(task)
  end

  defp show(rig, repo) do
    say("agent       #{rig.agent.node}, process #{rig.agent.process.os_pid}, listens for the cluster through EPMD")
    say("Caddy       http://127.0.0.1:#{rig.caddy.http_port}, admin API on port #{rig.caddy.admin_port}")
    say("repository  #{repo}")
    say("here        #{node()}")
  end

  defp stay(rig, repo) do
    step("everything stays until you press return")
    show(rig, repo)
    IO.puts("""

       the page          curl --resolve #{@domain}:#{rig.caddy.http_port}:127.0.0.1 http://#{@domain}:#{rig.caddy.http_port}/
       the routes        curl http://127.0.0.1:#{rig.caddy.admin_port}/config/apps/http/servers/otturnaut/routes
       a node beside it  iex --name me@127.0.0.1 --cookie #{rig.agent.cookie} --hidden
                         :rpc.call(:"#{rig.agent.node}", Otturnaut.AppState, :list, [])
    """)

    IO.gets("")
  end

  defp clean(rig, _repo = repo) do
    step("cleaning up")
    commits = repo |> Repo.git!(["log", "--format=%H"]) |> String.split()
    Harness.dispose(rig, [@app])
    for commit <- commits, do: Engine.remove_image(Engine.docker(), "otturnaut-#{@app}:#{commit}")
    File.rm_rf!(repo)
    say("containers, images, processes and directories of the demo are gone")
  end

  defp workers, do: 4
  defp step(text), do: IO.puts("\n-- #{text}")
  defp say(text), do: IO.puts("   #{text}")
end

Demo.run(System.get_env("DEMO_KEEP") == "1")
