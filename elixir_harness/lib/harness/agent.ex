defmodule Harness.Agent do
  @moduledoc "The real agent, as an operating system process with an environment of its own."

  alias Harness.{OsProcess, Ports, Wait}

  defstruct [:process, :node, :cookie, :env, :data_dir, :range]

  @doc "The binary under test."
  def binary do
    System.get_env("OTTURNAUT_BIN") || Path.expand("../../../target/debug/otturnaut", __DIR__)
  end

  @doc """
  Starts an agent and waits until it can be reached. Options: `env` (variables over the defaults, `nil` takes one away),
  `caddy` (a `Harness.Caddy`), `cookie`, `range` (ports for applications).
  """
  def start!(opts \\ []), do: opts |> describe() |> run!()

  @doc "Starts the same agent again: same name, same environment, same directory."
  def restart!(%__MODULE__{} = agent), do: run!(agent)

  @doc "What `start!/1` would start."
  def describe(opts \\ []) do
    node = :"otturnaut_#{unique()}@127.0.0.1"
    data_dir = Path.join(System.tmp_dir!(), "otturnaut-harness-#{unique()}")
    {low, high} = range = Keyword.get_lazy(opts, :range, &Ports.range/0)
    cookie = Keyword.get(opts, :cookie, Node.get_cookie())
    caddy = opts[:caddy]

    defaults = %{
      "PATH" => System.get_env("PATH"),
      "RELEASE_NODE" => "#{node}",
      "RELEASE_COOKIE" => "#{cookie}",
      "RELEASE_DISTRIBUTION" => nil,
      "RELEASE_COOKIE_FILE" => nil,
      "OTTURNAUT_DIST_TLS_CERT" => nil,
      "OTTURNAUT_DIST_TLS_KEY" => nil,
      "OTTURNAUT_DIST_TLS_CA" => nil,
      "OTTURNAUT_NET_TICKTIME" => nil,
      "MISSION_CONTROL_HOST" => nil,
      "OTTURNAUT_METRICS_ADDR" => nil,
      "CONTAINER_SOCKET" => Harness.Engine.docker().socket,
      "CADDY_ADMIN_URL" => "http://127.0.0.1:#{if caddy, do: caddy.admin_port, else: Ports.free()}",
      "OTTURNAUT_HTTP_PORT" => "#{if caddy, do: caddy.http_port, else: Ports.free()}",
      "OTTURNAUT_HTTPS_PORT" => "#{if caddy, do: caddy.https_port, else: Ports.free()}",
      "OTTURNAUT_AUTO_HTTPS" => "false",
      "OTTURNAUT_PORT_RANGE" => "#{low}-#{high}",
      "OTTURNAUT_DATA_DIR" => data_dir,
      "OTTURNAUT_LOCAL_SOURCES" => System.tmp_dir!(),
      "OTTURNAUT_DIST_BIND" => "127.0.0.1",
      "OTTURNAUT_LOG" => "debug"
    }

    env = Map.merge(defaults, Keyword.get(opts, :env, %{}))
    name = env["RELEASE_NODE"] || "#{node}"
    %__MODULE__{node: :"#{name}", cookie: cookie, env: env, data_dir: data_dir, range: range}
  end

  @doc "Runs the described agent and waits until it answers a ping of this node."
  def run!(agent) do
    agent = launch(agent)
    await!(agent)
  end

  @doc "Runs the described agent and waits for nothing."
  def launch(%__MODULE__{} = agent, args \\ ["start"]) do
    File.mkdir_p!(agent.data_dir)
    Harness.Leftovers.add_dir(agent.data_dir)
    %{agent | process: OsProcess.start(binary(), args: args, env: agent.env)}
  end

  def await!(agent) do
    if agent.cookie != Node.get_cookie(), do: Node.set_cookie(agent.node, :"#{agent.cookie}")

    Wait.until(
      "#{agent.node} to answer a ping",
      fn ->
        if status = OsProcess.exit_status(agent.process) do
          raise "the agent ended with #{status} instead of starting:\n#{log(agent)}"
        end

        Node.ping(agent.node) == :pong
      end,
      30_000
    )

    agent
  end

  def log(%__MODULE__{process: process}), do: OsProcess.log(process)

  @doc "Sends the signal, waits for the end, gives the exit status."
  def stop(%__MODULE__{process: process, node: node}, signal \\ :TERM) do
    status = OsProcess.stop(process, signal)
    Node.disconnect(node)
    status
  end

  @doc "Stops it and removes its directory."
  def dispose(%__MODULE__{} = agent) do
    stop(agent, :KILL)
    File.rm_rf!(agent.data_dir)
    :ok
  end

  @doc "A few random letters and digits."
  def unique, do: :crypto.strong_rand_bytes(5) |> Base.encode32(case: :lower, padding: false)
end
