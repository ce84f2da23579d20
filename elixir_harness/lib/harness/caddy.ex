defmodule Harness.Caddy do
  @moduledoc "A real Caddy with an empty configuration, its admin API on the loopback."

  alias Harness.{Http, Json, OsProcess, Ports, Wait}

  defstruct [:process, :admin_port, :http_port, :https_port, :home]

  def start! do
    home = Path.join(System.tmp_dir!(), "otturnaut-caddy-#{Harness.Agent.unique()}")
    File.mkdir_p!(home)
    Harness.Leftovers.add_dir(home)

    start!(%__MODULE__{
      admin_port: Ports.free(),
      http_port: Ports.free(),
      https_port: Ports.free(),
      home: home
    })
  end

  @doc "Starts one on the ports of an earlier one, empty again."
  def start!(%__MODULE__{} = caddy) do
    env = %{
      "HOME" => caddy.home,
      "XDG_DATA_HOME" => caddy.home,
      "XDG_CONFIG_HOME" => caddy.home
    }

    # Nothing but the address of its admin API: older releases take that from a configuration alone.
    config = Path.join(caddy.home, "caddy.json")
    File.write!(config, Json.encode(%{admin: %{listen: "127.0.0.1:#{caddy.admin_port}"}}))
    caddy = %{caddy | process: OsProcess.start("caddy", args: ["run", "--config", config], env: env)}
    Wait.until("Caddy's admin API", fn -> match?({:ok, 200, _}, Http.get(admin(caddy), "/config/")) end)
    caddy
  end

  def stop(%__MODULE__{process: process}, signal \\ :KILL), do: OsProcess.stop(process, signal)

  def dispose(caddy) do
    stop(caddy)
    File.rm_rf!(caddy.home)
    :ok
  end

  def admin_url(caddy), do: "http://127.0.0.1:#{caddy.admin_port}"

  @doc "The configuration at a path, as Caddy itself says it; `nil` if there is nothing."
  def config(caddy, path \\ "") do
    case Http.get(admin(caddy), "/config/#{path}") do
      {:ok, 200, body} -> Json.decode(body)
      {:ok, _, _} -> nil
    end
  end

  def load!(caddy, config) do
    {:ok, 200, _} = Http.request("POST", admin(caddy), "/load", body: Json.encode(config))
    :ok
  end

  @doc "The ids of all routes of the agent's server but the agent's own, by which it finds out what Caddy reads."
  def route_ids(caddy) do
    routes = config(caddy, "apps/http/servers/otturnaut/routes") || []
    routes |> Enum.map(& &1["@id"]) |> Enum.reject(&own?/1) |> Enum.sort()
  end

  defp own?(id), do: is_binary(id) and String.starts_with?(id, "otturnaut-probe-")

  @doc "A page through the proxy: `{:ok, status, body}`."
  def page(caddy, domain, path \\ "/"), do: Http.get({"127.0.0.1", caddy.http_port}, path, host: domain)

  defp admin(caddy), do: {"127.0.0.1", caddy.admin_port}
end
