# The structs as Mission Control has them: only their keys, the code lives on the agent.

defmodule Otturnaut.Deployment do
  @moduledoc "One run of putting a version of an application in place."
  @enforce_keys [:id, :app_id, :image, :container_port]
  defstruct [
    :id,
    :app_id,
    :image,
    :container_port,
    :port,
    :container_name,
    :container_id,
    :previous_container_name,
    :previous_port,
    :error,
    :started_at,
    :completed_at,
    env: %{},
    domains: [],
    runtime: Otturnaut.Runtime.Docker,
    runtime_opts: [],
    status: :pending
  ]
end

defmodule Otturnaut.Caddy.Route do
  @moduledoc "Domains that lead to a port."
  defstruct [:id, :domains, :upstream_port]
end

defmodule Otturnaut.Command.Result do
  @moduledoc "How a command ended."
  defstruct [:status, :exit_code, :output, :error, :duration_ms]
end
