defmodule HealthMonitorTest do
  @moduledoc "Applications are watched all the time: failures damped, exits and crash loops told, restarts where asked for."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.{AppState, Events, HealthCheck, HealthMonitor}
  alias Otturnaut.Runtime.Docker

  @long 60_000
  # The page, so that whoever takes the file away makes the application unwell.
  @page %{type: :http, path: "/", expected_status: 200}

  setup %{node: node, app: app} do
    {:ok, _} = call(node, Events, :subscribe, [self(), [app_id: app]])
    :ok
  end

  defp status(node, app), do: call(node, HealthMonitor, :status, [app])

  defp await_status(node, app, status) do
    Wait.until(
      "#{app} to be #{status}",
      fn -> match?({:ok, %{status: ^status}}, status(node, app)) end,
      @long
    )

    {:ok, health} = status(node, app)
    health
  end

  defp await(type) do
    receive do
      {:otturnaut_event, _, %{type: ^type} = event} -> event
    after
      @long -> flunk("no #{type}")
    end
  end

  # Watches a deployed application's page more often than is usual.
  defp watch_page(node, app, d, opts \\ []) do
    config = %{type: :http, url: "http://127.0.0.1:#{d.port}/", expected_status: 200}
    assert :ok == call(node, HealthMonitor, :watch, [app, config, [interval: 500] ++ opts])
  end

  defp in_container(node, d, line) do
    command = ["/bin/busybox", "sh", "-c", line]
    config = %{type: :command, runtime: Docker, name: d.container_name, command: command}
    assert :healthy == call(node, HealthCheck, :check, [config])
  end

  test "a deployed application is watched until it is undeployed", %{node: node, app: app} do
    assert {:error, :not_found} == status(node, app)
    assert {:ok, d} = deploy(node, app, %{health_check: @page})
    health = await_status(node, app, :healthy)
    assert %{detail: "answered 200", failures: 0, exits: 0, restarts: 0} = health
    assert %{since: %DateTime{}, checked_at: %DateTime{}} = health
    assert health.deployment_id == d.id
    assert {app, health.status} in for({id, h} <- call(node, HealthMonitor, :status, []), do: {id, h.status})
    assert :ok == undeploy(node, d)
    assert {:error, :not_found} == status(node, app)
    refute Enum.any?(mailbox(), &match?({:otturnaut_event, _, %{type: :app_exited}}, &1))
  end

  test "failures are told after three of them, once, and so is the end of it", %{node: node, app: app} do
    assert {:ok, d} = deploy(node, app)
    watch_page(node, app, d)
    await_status(node, app, :healthy)
    in_container(node, d, "rm /www/index.html")
    assert %{failures: 3, detail: detail} = await(:app_unhealthy)
    assert detail =~ "answered 404, expected 200"
    assert %{failures: failures} = await_status(node, app, :unhealthy)
    assert failures >= 3
    in_container(node, d, "echo back > /www/index.html")
    assert %{after_ms: ms} = await(:app_recovered)
    assert ms > 0
    await_status(node, app, :healthy)
    refute Enum.any?(mailbox(), &match?({:otturnaut_event, _, %{type: :app_unhealthy}}, &1))
  end

  test "an exit is told at once, with its code and its last words", %{node: node, app: app} do
    assert {:ok, d} = deploy(node, app)
    await_status(node, app, :healthy)
    Engine.kill(Engine.docker(), d.container_name)
    event = await(:app_exited)
    assert %{exit_code: 137, out_of_memory: false, log: ["starting one"]} = event
    assert event.detail =~ "SIGKILL"
    assert event.deployment_id == d.id
    stopped? = fn -> match?({:ok, %{status: :stopped}}, call(node, AppState, :get, [app])) end
    Wait.until("the state to say so", stopped?, @long)
    assert %{exits: 1} = await_status(node, app, :unhealthy)
    # Started by hand it is well again.
    assert {:ok, 204, _} = Engine.start(Engine.docker(), d.container_name)
    await(:app_recovered)
    assert {:ok, %{status: :running}} = call(node, AppState, :get, [app])
  end

  test "a crash loop is told once, with its last words", %{node: node, app: app} do
    env = %{"PAGE" => "loop", "EXIT_AFTER" => "4"}
    assert {:ok, _} = deploy(node, app, %{domains: [], env: env})
    event = await(:app_crash_looping)
    assert %{exits: 3, exit_code: 1} = event
    assert "starting loop" in event.log
    assert %{exits: exits} = await_status(node, app, :crash_looping)
    assert exits >= 3
    mailbox()
    more? = fn -> match?({:ok, %{exits: more}} when more > exits, status(node, app)) end
    Wait.until("one more exit", more?, @long)

    told =
      for {:otturnaut_event, _, %{type: type}} when type in [:app_exited, :app_crash_looping] <- mailbox(),
          do: type

    assert told == []
  end

  test "an application that is not well is started anew where that is asked for", %{node: node, app: app} do
    assert {:ok, d} = deploy(node, app)
    watch_page(node, app, d, on_unhealthy: :restart)
    await_status(node, app, :healthy)
    in_container(node, d, "rm /www/index.html")
    await(:app_unhealthy)
    assert %{attempt: 1, done: true} = await(:app_restarted)
    await(:app_recovered)
    assert %{restarts: 0} = await_status(node, app, :healthy)
    refute Enum.any?(mailbox(), &match?({:otturnaut_event, _, %{type: :app_exited}}, &1))
  end

  test "a redeploy takes the watch over, and the end of the old version is no exit", %{node: node, app: app} do
    assert {:ok, _} = deploy(node, app)
    await_status(node, app, :healthy)
    assert {:ok, second} = deploy(node, app, %{env: %{"PAGE" => "two"}, health_check: @page})
    assert second.id == await_status(node, app, :healthy).deployment_id
    told = for {:otturnaut_event, _, %{type: type}} <- mailbox(), do: type
    refute :app_exited in told
    refute :app_unhealthy in told
  end

  test "after a death of the agent the watch is complete again", %{app: app} do
    agent = own_agent!(caddy: own_caddy!())
    assert {:ok, d} = deploy(agent.node, app, %{health_check: Map.put(@page, :on_unhealthy, :restart)})
    await_status(agent.node, app, :healthy)
    Agent.stop(agent, :KILL)
    agent = Agent.restart!(agent)
    on_exit(fn -> Agent.dispose(agent) end)
    health = await_status(agent.node, app, :healthy)
    assert health.deployment_id == d.id
    # Its own check, and not only whether it runs.
    assert health.detail == "answered 200"
    Engine.kill(Engine.docker(), d.container_name)
    stopped? = fn -> match?({:ok, %{exits: 1}}, status(agent.node, app)) end
    Wait.until("the exit to be seen", stopped?, @long)
  end

  test "anything can be watched, and be watched no more", %{node: node, app: app} do
    port = Ports.free()
    config = %{type: :tcp, host: "127.0.0.1", port: port}
    assert :ok == call(node, HealthMonitor, :watch, [app, config, [interval: 500]])
    assert %{detail: detail} = await_status(node, app, :unhealthy)
    assert detail =~ "refused"
    {:ok, listener} = :gen_tcp.listen(port, [:binary, active: false, ip: {127, 0, 0, 1}])
    await_status(node, app, :healthy)
    :gen_tcp.close(listener)
    assert :ok == call(node, HealthMonitor, :unwatch, [app])
    assert {:error, :not_found} == status(node, app)
    assert :ok == call(node, HealthMonitor, :unwatch, [app])
  end

  test "what is wrong is refused, and names itself", %{node: node, app: app} do
    config = %{type: :tcp, host: "127.0.0.1", port: 80}

    refused = fn args, word ->
      assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} =
               call(node, HealthMonitor, :watch, args)

      assert message =~ word
    end

    refused.([app, config, [interval: 10]], "500 ms")
    refused.([app, config, [on_unhealthy: :explode]], "on_unhealthy")
    refused.([app, %{config | port: 0}, []], "port")
    refused.(["../x", config, []], "../x")
    assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = status(node, :atom)
  end
end
