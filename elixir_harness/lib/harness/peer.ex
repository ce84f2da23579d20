defmodule Harness.Peer do
  @moduledoc "Another Elixir node, controlled by its standard input: it can have another cookie, name or EPMD."

  defstruct [:pid, :node]

  @doc """
  Options: `name` (`name@host`; `nil`: not distributed yet), `short` (short names), `hidden`, `cookie`, `epmd_port`, `epmd`
  (`false`: start no EPMD), `args` (of the emulator).
  """
  def start!(opts \\ []) do
    name = Keyword.get(opts, :name, "harness_peer_#{Harness.Agent.unique()}@127.0.0.1")
    cookie = Keyword.get(opts, :cookie, Node.get_cookie())
    no_epmd = if opts[:epmd] == false, do: [~c"-start_epmd", ~c"false"], else: []
    hidden = if opts[:hidden], do: [~c"-hidden"], else: []
    env = if port = opts[:epmd_port], do: [{~c"ERL_EPMD_PORT", to_charlist(port)}], else: []

    options = %{
      connection: :standard_io,
      args:
        no_epmd ++
          hidden ++
          Keyword.get(opts, :args, []) ++
          [~c"-setcookie", to_charlist(cookie), ~c"-kernel", ~c"logger_level", ~c"critical"],
      env: env
    }

    {:ok, pid, node} = :peer.start(Map.merge(options, named(name, opts)))
    :peer.call(pid, :code, :add_pathsa, [:code.get_path()])
    %__MODULE__{pid: pid, node: node}
  end

  defp named(nil, _opts), do: %{}

  defp named(name, opts) do
    [short, host] = String.split(name, "@")
    %{name: to_charlist(short), host: to_charlist(host), longnames: not Keyword.get(opts, :short, false)}
  end

  def call(%__MODULE__{pid: pid}, module, function, args, timeout \\ 100_000) do
    :peer.call(pid, module, function, args, timeout)
  end

  def stop(%__MODULE__{pid: pid}), do: :peer.stop(pid)
end
