defmodule VersionsTest do
  @moduledoc "What a deployment may ask for besides: volumes, a release command, the Recreate strategy; and what is refused."
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

    {:ok, docker: Engine.docker(), volume: volume}
  end

  defp page(caddy, app, path \\ "/"), do: Caddy.page(caddy, "#{app}.localhost", path)
  defp sh(line), do: ["/bin/busybox", "sh", "-c", line]

  defp recreate(node, app, attrs, opts \\ []),
    do: call(node, Deployment, :execute, [deployment(node, app, attrs), Strategy.Recreate, %{}, opts])

  defp messages(step), do: for({:deployment_progress, %{step: ^step, message: text}} <- mailbox(), do: text)

  describe "volumes" do
    test "one by name outlives the versions of the app", context do
      %{node: node, caddy: caddy, app: app, docker: docker, volume: volume} = context
      write = fn word -> sh("echo #{word} >> /www/data/log") end
      volumes = ["#{volume}:/www/data"]
      assert {:ok, _} = deploy(node, app, %{volumes: volumes, release_command: write.("one")})
      assert {:ok, 200, "one\n"} == page(caddy, app, "/data/log")
      assert {:ok, d} = deploy(node, app, %{volumes: volumes, release_command: write.("two")})
      assert {:ok, 200, "one\ntwo\n"} == page(caddy, app, "/data/log")
      assert :ok == undeploy(node, d)
      assert_nothing_left(context, app)
      # Data is not the agent's to remove.
      assert Engine.volume?(docker, volume)
    end

    test "a directory of the machine, read only", %{node: node, caddy: caddy, app: app} do
      dir = Path.join(System.tmp_dir!(), "otturnaut-volume-#{app}")
      File.mkdir_p!(dir)
      on_exit(fn -> File.rm_rf!(dir) end)
      File.write!(Path.join(dir, "hello"), "from outside\n")
      write = sh("echo x > /www/outside/hello")
      volumes = ["#{dir}:/www/outside:ro"]

      assert {:error, {:release_command_failed, 1, output}, _} =
               deploy(node, app, %{volumes: volumes, release_command: write})

      assert output =~ "Read-only file system"
      assert {:ok, d} = deploy(node, app, %{volumes: volumes})
      assert {:ok, 200, "from outside\n"} == page(caddy, app, "/outside/hello")
      assert :ok == undeploy(node, d)
    end

    test "a rollback has them as well", %{node: node, caddy: caddy, app: app, volume: volume} do
      attrs = %{
        volumes: ["#{volume}:/www/data"],
        release_command: sh("echo x >> /www/data/log"),
        keep_releases: 3,
        drain_timeout: 5_000,
        stop_timeout: 4_000
      }

      assert {:ok, _} = deploy(node, app, attrs)
      assert {:ok, _} = deploy(node, app, %{env: %{"PAGE" => "two"}})
      assert {:ok, 404, _} = page(caddy, app, "/data/log")
      assert {:ok, back} = call(node, Deployment, :rollback, [app])
      # Its release command ran again with it.
      assert {:ok, 200, "x\nx\n"} == page(caddy, app, "/data/log")
      # What it answers is all that the next deploy needs.
      assert Map.take(back, Map.keys(attrs)) == attrs
      assert :ok == undeploy(node, back)
    end
  end

  describe "release_command" do
    test "runs once, in the new image with its environment, before the new version starts", context do
      %{node: node, caddy: caddy, app: app, docker: docker, volume: volume} = context
      since = System.os_time(:second)

      attrs = %{
        volumes: ["#{volume}:/www/data"],
        release_command: sh("echo $PAGE >> /www/data/log"),
        env: %{"PAGE" => "migrated"}
      }

      assert {:ok, d} = deploy(node, app, attrs, subscriber: self())
      steps = for {:deployment_progress, %{step: step}} <- mailbox(), do: step
      assert [:allocate_port, :release_command, :start_container | _] = Enum.dedup(steps)
      assert {:ok, 200, "migrated\n"} == page(caddy, app, "/data/log")

      # The command's container, then the version's; only that is left.
      actions =
        for {action, _, _} when action in ["start", "die", "destroy"] <- Engine.events(docker, app, since),
            do: action

      assert ["start", "die", "destroy", "start"] == actions
      assert [%{"Id" => id}] = Engine.containers(docker, app)
      assert id == d.container_id
      assert :ok == undeploy(node, d)
    end

    test "that fails: its code, its last words, and nothing is left", %{node: node, app: app} = context do
      command = sh("echo to stdout; echo no such table >&2; exit 7")
      assert {:error, reason, d} = deploy(node, app, %{release_command: command}, subscriber: self())
      assert {:release_command_failed, 7, output} = reason
      assert ["no such table", "to stdout"] == output |> String.split("\n", trim: true) |> Enum.sort()
      assert %Deployment{status: :failed, error: ^reason} = d
      assert List.last(messages(:release_command)) =~ "no such table"
      assert_nothing_left(context, app)
      assert [] == call(node, Deployment, :releases, [app])
    end

    test "that fails leaves the old version serving", %{node: node, caddy: caddy, app: app, docker: docker} do
      assert {:ok, old} = deploy(node, app)
      load = Load.start(caddy, "#{app}.localhost")

      assert {:error, {:release_command_failed, 1, ""}, _} =
               deploy(node, app, %{release_command: ["/bin/busybox", "false"]})

      assert %{failed: 0} = Load.stop(load)
      assert [%{"Id" => id}] = Engine.containers(docker, app)
      assert id == old.container_id
      assert :ok == undeploy(node, old)
    end

    test "that the image does not have", %{node: node, app: app} = context do
      assert {:error, reason, _} = deploy(node, app, %{release_command: ["/bin/nope"]})
      assert elem(reason, 0) in [:container_start_failed, :release_command_failed]
      assert_nothing_left(context, app)
    end

    test "a line of text is one for the image's shell", %{node: node, app: app} = context do
      # There is none in this one.
      assert {:error, {:release_command_failed, 127, output}, _} =
               deploy(node, app, %{release_command: "migrate"})

      assert output =~ "/bin/sh"
      assert_nothing_left(context, app)
    end

    test "that takes its time can be cancelled", %{node: node, app: app} = context do
      d = deployment(node, app, %{release_command: ["/bin/busybox", "sleep", "100"]})
      me = self()
      task = Task.async(fn -> execute(node, d, subscriber: me) end)
      Wait.until("the command", fn -> match?([_], Engine.containers(Engine.docker(), app)) end, 30_000)
      assert :ok == call(node, Deployment, :cancel, [d.id])
      assert {:error, :cancelled, _} = Task.await(task, 60_000)
      assert_nothing_left(context, app)
    end
  end

  describe "Recreate" do
    test("has a name", %{node: node}, do: assert("Recreate" == call(node, Strategy.Recreate, :name, [])))

    test "the old version has stopped before the new one starts", context do
      %{node: node, caddy: caddy, app: app, docker: docker, volume: volume} = context
      volumes = ["#{volume}:/www/data"]
      assert {:ok, one} = recreate(node, app, %{volumes: volumes}, subscriber: self())
      assert [] == for(text <- messages(:switch_route), text =~ "Nobody answered", do: text)
      assert {:ok, 200, "one\n"} == page(caddy, app)

      since = System.os_time(:second)

      assert {:ok, two} =
               recreate(node, app, %{volumes: volumes, env: %{"PAGE" => "two"}}, subscriber: self())

      assert {:ok, 200, "two\n"} == page(caddy, app)
      assert two.previous_container_name == one.container_name

      events = Engine.events(docker, app, since)
      assert [died] = for({"die", id, at} when id == one.id <- events, do: at)
      assert [started] = for({"start", id, at} when id == two.id <- events, do: at)
      assert died < started

      told = for {:deployment_progress, %{step: step, message: text}} <- mailbox(), do: {step, text}
      steps = Enum.map(told, &elem(&1, 0))
      assert Enum.find_index(steps, &(&1 == :stop_old)) < Enum.find_index(steps, &(&1 == :start_container))
      assert [first | _] = for({:stop_old, text} <- told, do: text)
      assert first =~ "nobody answers"
      assert [ms] = for({:switch_route, "Nobody answered for " <> ms} <- told, do: ms)
      assert {ms, " ms"} = Integer.parse(ms)
      assert ms in 1..30_000
      assert [%{"Id" => id}] = Engine.containers(docker, app)
      assert id == two.container_id
      assert :ok == undeploy(node, two)
      assert_nothing_left(context, app)
    end

    test "a new version that fails: the old one comes back", context do
      %{node: node, caddy: caddy, app: app, docker: docker, volume: volume} = context
      attrs = %{volumes: ["#{volume}:/www/data"]}
      assert {:ok, one} = recreate(node, app, attrs)
      broken = Map.put(attrs, :env, %{"EXIT_AFTER" => "0.2"})
      assert {:error, :health_check_failed, %{status: :failed}} = recreate(node, app, broken)
      Wait.until("the old page", fn -> page(caddy, app) == {:ok, 200, "one\n"} end)
      assert [%{"Id" => id, "State" => "running"}] = Engine.containers(docker, app)
      assert id == one.container_id
      assert {:ok, %{status: :running}} = call(node, Otturnaut.AppState, :get, [app])
      assert {:ok, two} = recreate(node, app, Map.put(attrs, :env, %{"PAGE" => "two"}))
      assert {:ok, 200, "two\n"} == page(caddy, app)
      assert :ok == undeploy(node, two)
    end

    test "the strategy's own execute does the same, and a rollback has the strategy", context do
      %{node: node, caddy: caddy, app: app} = context
      assert {:ok, _} = call(node, Strategy.Recreate, :execute, [deployment(node, app), %{}, []])
      assert {:ok, two} = recreate(node, app, %{env: %{"PAGE" => "two"}})
      assert {:ok, back} = call(node, Deployment, :rollback, [app, [subscriber: self()]])
      assert [_] = for("Nobody answered for " <> ms <- messages(:switch_route), do: ms)
      assert back.previous_container_name == two.container_name
      assert {:ok, 200, "one\n"} == page(caddy, app)
      assert :ok == undeploy(node, back)
    end
  end

  describe "attributes of the wrong type" do
    @wrong [
      {:app_id, 1, "deployment.app_id"},
      {:app_id, "", "deployment.app_id"},
      {:id, :atom, "deployment.id"},
      {:image, nil, "image"},
      {:image, 1, "deployment.image"},
      {:container_port, 70_000, "deployment.container_port"},
      {:container_port, "80", "deployment.container_port"},
      {:env, %{"A" => {1}}, ~s(deployment.env["A"])},
      {:domains, "one.example.com", "deployment.domains"},
      {:domains, [1], "deployment.domains"},
      {:runtime, Nope, "deployment.runtime"},
      {:runtime_opts, [socket: 1], "deployment.runtime_opts[:socket]"},
      {:volumes, "data:/data", "deployment.volumes"},
      {:volumes, [:data], "deployment.volumes"},
      {:release_command, :migrate, "deployment.release_command"},
      {:release_command, [1], "deployment.release_command"},
      {:keep_releases, 0, "deployment.keep_releases"},
      {:keep_releases, "all", "deployment.keep_releases"},
      {:drain_timeout, -1, "deployment.drain_timeout"},
      {:drain_timeout, :infinity, "deployment.drain_timeout"},
      {:stop_timeout, 1.5, "deployment.stop_timeout"},
      {:health_check, :http, "deployment.health_check"},
      {:health_check, [type: :smtp], "deployment.health_check[:type]"},
      {:health_check, [type: :command], "command"},
      {:health_check, [type: :http, interval: "1 s"], "deployment.health_check[:interval]"}
    ]

    test "an ArgumentError names it, and nothing is touched", %{node: node, app: app} = context do
      for {key, value, name} <- @wrong, function <- [:execute, :plan] do
        d = Map.put(deployment(node, app), key, value)
        answer = call(node, Deployment, function, [d, Strategy.BlueGreen, %{}] |> arguments(function))
        assert {:badrpc, {:EXIT, {%ArgumentError{message: text}, _}}} = answer, "#{key}: #{inspect(answer)}"
        assert text =~ name, "#{inspect(key)} #{inspect(value)}: #{text}"
      end

      assert_nothing_left(context, app)
      assert [] == for(%{app_id: ^app} = run <- call(node, Deployment, :list, []), do: run)
    end

    test "options and other arguments too", %{node: node, app: app} do
      d = deployment(node, app)

      for {function, args, name} <- [
            {:execute, [d, Strategy.BlueGreen, %{}, [deadline: "soon"]], "opts[:deadline]"},
            {:execute, [d, Strategy.BlueGreen, %{}, [subscriber: :me]], "opts[:subscriber]"},
            {:execute, [d, Strategy.BlueGreen, %{}, [health_check: [type: :smtp]]],
             "opts[:health_check][:type]"},
            {:execute, [d, Strategy.Nope], "strategy"},
            {:execute, [d, Strategy.BlueGreen, %{caddy: Nope}], "context"},
            {:execute, [:nope, Strategy.BlueGreen], "deployment"},
            {:plan, [d, Strategy.Nope], "strategy"},
            {:undeploy, [d, %{}, [cancel: 1]], "opts[:cancel]"},
            {:rollback, [1], "app_id"},
            {:rollback, [app, [to: 1]], "opts[:to]"},
            {:releases, [nil], "app_id"},
            {:prune, [[dry_run: "yes"]], "opts[:dry_run]"},
            {:cancel, [1], "deployment_id"}
          ] do
        answer = call(node, Deployment, function, args)

        assert {:badrpc, {:EXIT, {%ArgumentError{message: text}, _}}} = answer,
               "#{function}: #{inspect(answer)}"

        assert text =~ name, "#{function}: #{text}"
      end
    end

    defp arguments(args, :execute), do: args
    defp arguments([d, strategy, _context], :plan), do: [d, strategy]
  end
end
