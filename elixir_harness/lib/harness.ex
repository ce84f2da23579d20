defmodule Harness do
  @moduledoc """
  A stand-in for Mission Control: starts agents and Caddy, calls what Mission Control calls, looks at the machine itself.

      iex> Harness.connect!()
      iex> rig = Harness.rig!()
      iex> Harness.call(rig.agent.node, Otturnaut.AppState, :list, [])
  """

  alias Harness.{Agent, Caddy, Engine}

  @strategy Otturnaut.Deployment.Strategy.BlueGreen

  @doc """
  Makes this a node of the cluster, if it is none yet: long name, EPMD started if there is none. Options: `hidden`.
  """
  def connect!(name \\ "mission_control@127.0.0.1", cookie \\ :harness, opts \\ []) do
    unless Node.alive?() do
      epmd = System.find_executable("epmd") || Path.join([:code.root_dir(), "bin", "epmd"])
      System.cmd(epmd, ["-daemon"])
      hidden = Keyword.get(opts, :hidden, false)
      {:ok, _} = :net_kernel.start(String.to_atom(name), %{name_domain: :longnames, hidden: hidden})
      Node.set_cookie(cookie)
    end

    Node.self()
  end

  @doc "An agent and its Caddy."
  def rig!(opts \\ []) do
    caddy = Caddy.start!()
    %{caddy: caddy, agent: Agent.start!(Keyword.put(opts, :caddy, caddy))}
  end

  @doc "Ends both, and whatever is left of the applications in `app_ids`."
  def dispose(%{caddy: caddy, agent: agent}, app_ids \\ []) do
    Agent.dispose(agent)
    Caddy.dispose(caddy)
    Enum.each(app_ids, &clean(&1))
  end

  @doc "Removes what is left of an application, past the agent."
  def clean(app_id, engine \\ Engine.docker()) do
    for container <- Engine.containers(engine, app_id), do: Engine.remove(engine, container["Id"])

    # The names by which releases keep their images.
    for name <- Engine.image_names(engine, "otturnaut-release"),
        String.starts_with?(name, "otturnaut-release:#{app_id}-"),
        do: Engine.remove_image(engine, name)

    :ok
  end

  @doc "`:rpc.call` with a deadline."
  def call(node, module, function, args, timeout \\ 90_000),
    do: :rpc.call(node, module, function, args, timeout)

  @doc "The struct of a deployment of the harness's web application, as Mission Control has the agent make it."
  def deployment(node, app_id, attrs \\ %{}) do
    defaults = %{
      app_id: app_id,
      image: Harness.Images.web(),
      container_port: 8080,
      domains: ["#{app_id}.localhost"],
      env: %{"PAGE" => "one"}
    }

    call(node, Otturnaut.Deployment, :new, [Map.merge(defaults, Map.new(attrs))])
  end

  @doc "Deploys: `{:ok, deployment}` or `{:error, reason, deployment}`."
  def deploy(node, app_id, attrs \\ %{}, opts \\ []) do
    execute(node, deployment(node, app_id, attrs), opts)
  end

  def execute(node, deployment, opts \\ []) do
    call(node, Otturnaut.Deployment, :execute, [deployment, @strategy, %{}, opts])
  end

  def undeploy(node, deployment, opts \\ []) do
    call(node, Otturnaut.Deployment, :undeploy, [deployment, %{}, opts])
  end
end
