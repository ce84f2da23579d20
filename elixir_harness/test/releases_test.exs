defmodule ReleasesTest do
  @moduledoc "Releases: which are kept, going back to one, what is cleared away, where their secrets are."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.Deployment

  setup do
    {:ok, docker: Engine.docker()}
  end

  defp releases(node, app), do: call(node, Deployment, :releases, [app])
  defp ids(node, app), do: for(release <- releases(node, app), do: release.deployment_id)
  defp rollback(node, app, opts \\ []), do: call(node, Deployment, :rollback, [app, opts])
  defp page(caddy, app), do: Caddy.page(caddy, "#{app}.localhost")
  defp kept_name(app, id), do: "otturnaut-release:#{app}-#{id}"

  defp documents(%{data_dir: dir}, app) do
    dir
    |> Path.join("releases/#{app}/*.json")
    |> Path.wildcard()
    |> Enum.map(&Path.basename(&1, ".json"))
    |> Enum.sort()
  end

  # An image that no other test has; gone after the test by all its names.
  defp own_image!(app, version) do
    tag = "otturnaut-#{app}:#{version}"
    on_exit(fn -> Engine.remove_image(Engine.docker(), tag) end)
    Images.own!(tag)
  end

  defp deploy_pages!(node, app, pages, attrs \\ %{}) do
    for page <- pages do
      assert {:ok, d} = deploy(node, app, Map.merge(%{env: %{"PAGE" => page}}, attrs))
      d
    end
  end

  test "an app that was never deployed has none, and nothing to go back to", %{node: node, app: app} do
    assert [] == releases(node, app)
    assert {:error, :no_release} == rollback(node, app)
    assert {:error, :no_release} == call(node, Deployment, :rollback, [app])
    assert {:error, :unknown_release} == rollback(node, app, to: "nope")
  end

  test "rollback puts the release before in place, as it was", %{
    node: node,
    caddy: caddy,
    app: app,
    docker: docker
  } do
    env = %{"PAGE" => "one", "ONLY" => "first"}
    assert {:ok, one} = deploy(node, app, %{env: env})
    assert {:ok, two} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    assert {:ok, 200, "two\n"} == page(caddy, app)

    assert {:ok, back} = call(node, Deployment, :rollback, [app])

    {id, image, domains, name} = {one.id, one.image, one.domains, two.container_name}

    assert %Deployment{
             id: ^id,
             app_id: ^app,
             image: ^image,
             container_port: 8080,
             domains: ^domains,
             env: ^env,
             status: :completed,
             error: nil,
             previous_container_name: ^name,
             runtime: Otturnaut.Runtime.Docker
           } = back

    assert back.previous_port == two.port
    assert back.container_id != one.container_id
    assert DateTime.compare(back.started_at, two.completed_at) == :gt
    assert {:ok, 200, "one\n"} == page(caddy, app)
    assert [%{"Id" => running}] = Engine.containers(docker, app)
    assert running == back.container_id
    assert "ONLY=first" in Engine.inspect!(docker, running)["Config"]["Env"]
    assert {:ok, %{deployment_id: ^id, status: :running}} = call(node, Otturnaut.AppState, :get, [app])

    # What a rollback answers can be undeployed as what a deploy answers.
    assert :ok == undeploy(node, back)
    assert [] == releases(node, app)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "releases tells of each, the newest first", %{node: node, app: app} do
    [one, two, three] = deploy_pages!(node, app, ["one", "two", "three"])
    assert [three.id, two.id, one.id] == ids(node, app)
    assert [true, false, false] == for(release <- releases(node, app), do: release.current)
    assert [newest | _] = releases(node, app)

    assert %{app_id: ^app, status: :completed, container_port: 8080, deployed_at: %DateTime{}} = newest
    assert newest.image == three.image
    assert newest.image_id =~ ~r/^sha256:[0-9a-f]{64}$/
    # Each shows another page, by its environment; the one that came back is configured as it was.
    assert [_, _, _] = sums = for(release <- releases(node, app), do: release.configuration)
    assert Enum.all?(sums, &(&1 =~ ~r/^[0-9a-f]{64}$/)) and Enum.uniq(sums) == sums
    assert newest.domains == three.domains
    assert DateTime.compare(newest.deployed_at, three.started_at) == :eq
    refute Enum.any?(releases(node, app), &Map.has_key?(&1, :env))

    assert {:ok, %{env: %{"PAGE" => "one"}}} = rollback(node, app, to: one.id)
    assert hd(releases(node, app)).configuration == List.last(sums)

    assert [{one.id, true, :completed}, {three.id, false, :rolled_back}, {two.id, false, :completed}] ==
             for(release <- releases(node, app), do: {release.deployment_id, release.current, release.status})

    assert :ok == undeploy(node, one)
  end

  test "rollback tells its progress", %{node: node, app: app} do
    [one, _two] = deploy_pages!(node, app, ["one", "two"])
    assert {:ok, _} = rollback(node, app, to: one.id, subscriber: self())
    told = for {:deployment_progress, told} <- mailbox(), do: told
    assert [:start_container, :health_check, :switch_route, :stop_old] -- Enum.map(told, & &1.step) == []
    assert Enum.all?(told, &(&1.app_id == app and &1.deployment_id == one.id))
    assert :ok == undeploy(node, one)
  end

  test "no request is lost by a rollback", %{node: node, caddy: caddy, app: app} do
    [one, _two] = deploy_pages!(node, app, ["one", "two"])
    load = Load.start(caddy, "#{app}.localhost")
    Wait.until("requests", fn -> Load.total(load) > 50 end)
    assert {:ok, _} = rollback(node, app)
    seen = Load.total(load)
    Wait.until("requests after the switch", fn -> Load.total(load) > seen + 50 end)
    assert_served(Load.stop(load))
    assert :ok == undeploy(node, one)
  end

  test "what cannot be gone back to", %{node: node, caddy: caddy, app: app, docker: docker} do
    image = own_image!(app, "v1")
    assert {:ok, one} = deploy(node, app, %{image: image})
    assert {:error, :no_release} == rollback(node, app)
    assert {:error, :already_running} == rollback(node, app, to: one.id)

    assert {:ok, two} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    assert {:error, :already_running} == rollback(node, app, to: two.id)
    assert {:error, :unknown_release} == rollback(node, app, to: "nope")

    # As `docker rmi --force` by its id: no name of it stays.
    [%{image_id: id}] = for release <- releases(node, app), release.deployment_id == one.id, do: release
    assert {:ok, 200, _} = Engine.remove_image(docker, id)
    assert {:error, {:image_gone, image}} == rollback(node, app)
    assert {:error, {:image_gone, image}} == rollback(node, app, to: one.id)

    assert {:ok, 200, "two\n"} == page(caddy, app)
    assert [two.id, one.id] == ids(node, app)
    assert :ok == undeploy(node, two)
  end

  test "a tag that leads elsewhere by now does not change what a rollback starts", context do
    %{node: node, caddy: caddy, app: app, docker: docker} = context
    image = own_image!(app, "latest")
    assert {:ok, one} = deploy(node, app, %{image: image})
    [%{image_id: first}] = releases(node, app)
    # The same name, another image.
    Engine.tag!(docker, Images.web(), "otturnaut-#{app}")
    assert {:ok, two} = deploy(node, app, %{image: image, env: %{"PAGE" => "two"}})
    assert [%{image_id: second}, _] = releases(node, app)
    assert first != second
    assert {:ok, back} = rollback(node, app)
    assert back.image == image
    assert Engine.inspect!(docker, back.container_id)["Image"] == first
    assert {:ok, 200, "one\n"} == page(caddy, app)
    assert {:error, :already_running} == rollback(node, app, to: one.id)
    assert {:ok, _} = rollback(node, app, to: two.id)
    assert :ok == undeploy(node, two)
  end

  test "a rollback that fails leaves the running release serving", %{node: node, caddy: caddy, app: app} do
    # Once it listened at once; by the time it is to come back, something that it needs is gone.
    dir = Path.join(System.tmp_dir!(), "otturnaut-needed-#{app}")
    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    File.write!(Path.join(dir, "ready"), "yes\n")
    check = [type: :http, path: "/needed/ready", expected_status: 200, deadline: 1_500, interval: 100]
    volumes = ["#{dir}:/www/needed:ro"]

    assert {:ok, one} = deploy(node, app, %{volumes: volumes}, health_check: check)
    assert {:ok, two} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    File.rm!(Path.join(dir, "ready"))

    assert {:error, :health_check_failed, %Deployment{status: :failed, error: :health_check_failed} = d} =
             rollback(node, app)

    assert d.id == one.id
    assert {:ok, 200, "two\n"} == page(caddy, app)
    assert [two.id, one.id] == ids(node, app)
    assert [true, false] == for(release <- releases(node, app), do: release.current)

    File.write!(Path.join(dir, "ready"), "yes\n")
    assert {:ok, _} = rollback(node, app)
    assert {:ok, 200, "yes\n"} == Caddy.page(caddy, "#{app}.localhost", "/needed/ready")
    assert :ok == undeploy(node, one)
  end

  test "keep_releases: the older ones go, with image names and configurations", context do
    %{node: node, app: app, docker: docker, rig: rig} = context
    [one, two, three] = deploy_pages!(node, app, ["one", "two", "three"], %{keep_releases: 2})
    assert [three.id, two.id] == ids(node, app)
    assert Enum.sort([two.id, three.id]) == documents(rig.agent, app)
    refute Engine.image?(docker, kept_name(app, one.id))
    for kept <- [two, three], do: assert(Engine.image?(docker, kept_name(app, kept.id)))
    # The image itself is not the agent's: its own name stays.
    assert Engine.image?(docker, one.image)
    assert {:error, :unknown_release} == rollback(node, app, to: one.id)

    assert :ok == undeploy(node, three)
    assert [] == documents(rig.agent, app)
    for gone <- [two, three], do: refute(Engine.image?(docker, kept_name(app, gone.id)))
  end

  test "keep_releases: 1 keeps the one that runs", %{node: node, app: app} do
    [_one, two] = deploy_pages!(node, app, ["one", "two"], %{keep_releases: 1})
    assert [two.id] == ids(node, app)
    assert {:error, :no_release} == rollback(node, app)
    assert :ok == undeploy(node, two)
  end

  test "five are kept if nobody says", %{node: node, app: app} do
    deployed = deploy_pages!(node, app, ["1", "2", "3", "4", "5", "6"])
    assert Enum.reverse(Enum.map(tl(deployed), & &1.id)) == ids(node, app)
    assert :ok == undeploy(node, List.last(deployed))
  end

  test "prune says what stays and why; with dry_run it removes nothing", context do
    %{node: node, app: app, docker: docker, rig: rig} = context
    image = own_image!(app, "v1")
    assert {:ok, one} = deploy(node, app, %{image: image})
    mine = fn items -> for(%{app_id: ^app} = item <- items, do: item) end

    assert [_ | _] = items = mine.(call(node, Deployment, :prune, [[dry_run: true]]))
    assert Enum.all?(items, &match?(%{action: :keep, kind: _, name: _, why: "it runs now"}, &1))
    assert [:configuration, :image, :image] == items |> Enum.map(& &1.kind) |> Enum.sort()

    # The image has no name but the one that keeps it, and a stranger's container that needs it: it cannot go yet.
    stranger = "stranger-#{app}"
    Engine.run!(docker, stranger, %{Image: kept_name(app, one.id)})
    on_exit(fn -> Engine.remove(docker, stranger) end)
    assert {:ok, 200, _} = Engine.remove_image(docker, image)
    assert {:ok, two} = deploy(node, app, %{keep_releases: 1})
    assert Engine.image?(docker, kept_name(app, one.id))

    removable = fn items ->
      for(%{action: :remove} = item <- mine.(items), do: {item.deployment_id, item.name})
    end

    assert {one.id, kept_name(app, one.id)} in removable.(call(node, Deployment, :prune, [[dry_run: true]]))
    Engine.remove(docker, stranger)
    assert {one.id, kept_name(app, one.id)} in removable.(call(node, Deployment, :prune, [[dry_run: true]]))
    assert Engine.image?(docker, kept_name(app, one.id))

    assert {one.id, kept_name(app, one.id)} in removable.(call(node, Deployment, :prune, []))
    refute Engine.image?(docker, kept_name(app, one.id))
    assert [two.id] == ids(node, app)
    assert [two.id] == documents(rig.agent, app)
    assert [] == removable.(call(node, Deployment, :prune, [[dry_run: true]]))
    assert :ok == undeploy(node, two)
  end

  test "secrets are in the documents of releases and nowhere else", %{app: app} do
    caddy = own_caddy!()
    agent = own_agent!(caddy: caddy)
    [secret, argument] = for what <- ["secret", "argument"], do: "#{what}-#{Agent.unique()}"
    env = fn page -> %{"PAGE" => page, "SECRET" => secret} end
    # It fails where it does not see the secret.
    command = ["/bin/busybox", "sh", "-c", "[ -n \"$SECRET\" ] # #{argument}"]

    assert {:ok, _} = deploy(agent.node, app, %{env: env.("one"), release_command: command})
    assert {:ok, _} = deploy(agent.node, app, %{env: env.("two")})
    broken = Map.put(env.("three"), "EXIT_AFTER", "0.2")
    assert {:error, :health_check_failed, _} = deploy(agent.node, app, %{env: broken}, subscriber: self())

    assert {:error, {:container_start_failed, _}, _} =
             deploy(agent.node, app, %{env: env.("x"), image: "otturnaut-no:image"})

    assert {:ok, plan} =
             call(agent.node, Deployment, :plan, [deployment(agent.node, app, %{env: env.("four")})])

    assert {:badrpc, {:EXIT, {%ArgumentError{message: refused}, _}}} =
             call(agent.node, Deployment, :execute, [
               %{deployment(agent.node, app) | env: %{"SECRET" => {secret}}},
               Deployment.Strategy.BlueGreen
             ])

    assert {:ok, %{env: %{"SECRET" => ^secret}} = d} = call(agent.node, Deployment, :rollback, [app])

    for text <- [
          refused,
          inspect(plan),
          inspect(mailbox(), limit: :infinity),
          inspect(releases(agent.node, app))
        ],
        do: refute(text =~ secret)

    documents = Path.wildcard(Path.join(agent.data_dir, "releases/#{app}/*.json"))
    assert 2 == length(documents)

    for path <- documents do
      assert File.read!(path) =~ secret
      assert 0o600 == Bitwise.band(File.stat!(path).mode, 0o777)
      assert 0o700 == Bitwise.band(File.stat!(Path.dirname(path)).mode, 0o777)
    end

    others =
      Enum.filter(Path.wildcard(Path.join(agent.data_dir, "**"), match_dot: true), &File.regular?/1) --
        documents

    assert Path.join(agent.data_dir, "journal") in others

    for path <- others,
        word <- [secret, argument],
        do: refute(File.read!(path) =~ word, "#{word} is in #{path}")

    assert Agent.log(agent) =~ app
    for word <- [secret, argument], do: refute(Agent.log(agent) =~ word)
    assert :ok == undeploy(agent.node, d)
    assert [] == Path.wildcard(Path.join(agent.data_dir, "releases/#{app}/*"))
  end
end
