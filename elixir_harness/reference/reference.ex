defmodule Otturnaut.Reference do
  @moduledoc """
  What the agent would be if it were written in Elixir, as far as the suite of BEAM semantics looks at it: the functions and
  servers of the same names, on a real BEAM. What the suite finds here is right by definition.
  """

  def start(range) do
    children = [
      Otturnaut.AppState,
      {Otturnaut.PortManager, range},
      {Task.Supervisor, name: Otturnaut.Command.Supervisor}
    ]

    # The suite ends servers more often than a supervisor would put up with.
    {:ok, _} =
      Supervisor.start_link(children,
        strategy: :one_for_one,
        max_restarts: 1_000_000,
        name: Otturnaut.Supervisor
      )

    Process.sleep(:infinity)
  end
end
