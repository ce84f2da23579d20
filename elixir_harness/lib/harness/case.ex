defmodule Harness.Case do
  @moduledoc "What every test has: the shared agent (`rig`, `node`, `caddy`), an application id of its own, cleaned up after."
  use ExUnit.CaseTemplate

  using do
    quote do
      import Harness
      import Harness.Case
      alias Harness.{Agent, Caddy, Engine, Http, Images, Load, OsProcess, Peer, Ports, Repo, Wait}
    end
  end

  setup do
    rig = :persistent_term.get(:rig)
    app = "app-#{Harness.Agent.unique()}"
    on_exit(fn -> Harness.clean(app) end)
    {:ok, rig: rig, node: rig.agent.node, caddy: rig.caddy, app: app}
  end

  @doc "All messages that are here, oldest first."
  def mailbox do
    receive do
      message -> [message | mailbox()]
    after
      0 -> []
    end
  end

  @doc "No request failed."
  def assert_served(%{failed: failed, total: total, reasons: reasons}) do
    assert failed == 0, "#{failed} of #{total} requests failed: #{inspect(reasons)}"
  end

  @doc "An agent for one test alone."
  def own_agent!(opts \\ []) do
    agent = Harness.Agent.start!(opts)
    ExUnit.Callbacks.on_exit(fn -> Harness.Agent.dispose(agent) end)
    agent
  end

  @doc "A Caddy for one test alone."
  def own_caddy! do
    caddy = Harness.Caddy.start!()
    ExUnit.Callbacks.on_exit(fn -> Harness.Caddy.dispose(caddy) end)
    caddy
  end

  @doc "Nothing of the application is left: no container, no route, no port."
  def assert_nothing_left(%{node: node, caddy: caddy}, app) do
    assert [] == Harness.Engine.containers(Harness.Engine.docker(), app)
    refute "#{app}-route" in Harness.Caddy.route_ids(caddy)
    assert {:error, :not_found} == Harness.call(node, Otturnaut.AppState, :get, [app])
  end
end
