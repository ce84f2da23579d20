defmodule Harness.RemoteShell do
  @moduledoc """
  A shell of a node without a terminal: a process plays IEx's client and its terminal, by Erlang's I/O protocol.

      iex> shell = Harness.RemoteShell.open!(node)
      iex> Harness.RemoteShell.type(shell, "1 + 1")
      "2"
  """

  defstruct [:client, :node]

  @deadline 60_000

  @doc "Opens a shell as `iex --remsh` does, and waits for its first prompt. Option: `columns`."
  def open!(node, opts \\ []) do
    client = spawn_link(fn -> begin(node, Keyword.get(opts, :columns, 80)) end)
    shell = %__MODULE__{client: client, node: node}
    ask(shell, :prompted)
    shell
  end

  @doc "What the shell prints for an expression, which may have several lines."
  def type(shell, text) do
    {output, _prompt} = ask(shell, {:type, String.split(text, "\n")})
    String.trim_trailing(output, "\n")
  end

  @doc "The prompt that is shown after the last line."
  def prompt(shell), do: ask(shell, :prompted)

  @doc "The shell's process on the node."
  def pid(shell), do: ask(shell, :pid)

  @doc "The terminal goes without a word."
  def close(%__MODULE__{client: client}) do
    Process.unlink(client)
    Process.exit(client, :kill)
  end

  defp ask(%__MODULE__{client: client}, question) do
    ref = Process.monitor(client)
    send(client, {question, self(), ref})

    receive do
      {^ref, answer} ->
        Process.demonitor(ref, [:flush])
        answer

      {:DOWN, ^ref, _, _, reason} ->
        raise "the shell's terminal ended: #{inspect(reason)}"
    after
      @deadline -> raise "the shell does not answer #{inspect(question)}"
    end
  end

  defp begin(node, columns) do
    # What is called from here has this process as its group leader.
    Process.group_leader(self(), self())
    ref = make_ref()
    shell = :rpc.call(node, IEx, :start, [[], {IEx.CLI, :remote_start, [self(), ref]}])

    receive do
      {:begin, ^ref, ^shell} -> send(shell, {:done, ref})
    end

    Process.monitor(shell)
    serve(%{shell: shell, columns: columns, output: [], reads: nil, lines: [], asks: nil})
  end

  defp serve(state) do
    receive do
      {:io_request, from, ref, request} ->
        state |> request({from, ref}, request) |> go_on() |> serve()

      {{:type, lines}, asks, ref} ->
        %{state | lines: lines, asks: {asks, ref}, output: []} |> go_on() |> serve()

      {:prompted, asks, ref} ->
        %{state | asks: {asks, ref, :prompt}} |> go_on() |> serve()

      {:pid, asks, ref} ->
        send(asks, {ref, state.shell})
        serve(state)

      {:DOWN, _, _, _, _} ->
        exit(:shell_ended)
    end
  end

  defp request(state, to, {:put_chars, :unicode, text}) do
    reply(to, :ok)
    %{state | output: [state.output, text]}
  end

  defp request(state, to, {:get_line, :unicode, prompt}), do: %{state | reads: {to, prompt}}

  defp request(state, to, {:setopts, _}) do
    reply(to, :ok)
    state
  end

  defp request(state, to, {:get_geometry, :columns}) do
    reply(to, state.columns)
    state
  end

  # A line for whoever reads; without one, an answer to whoever asks.
  defp go_on(%{reads: {to, _}, lines: [line | lines]} = state) do
    reply(to, line <> "\n")
    %{state | reads: nil, lines: lines}
  end

  defp go_on(%{reads: {_, prompt}, asks: {asks, ref, :prompt}} = state) do
    send(asks, {ref, prompt})
    %{state | asks: nil}
  end

  defp go_on(%{reads: {_, prompt}, asks: {asks, ref}} = state) do
    send(asks, {ref, {IO.iodata_to_binary(state.output), prompt}})
    %{state | asks: nil, output: []}
  end

  defp go_on(state), do: state

  defp reply({from, ref}, answer), do: send(from, {:io_reply, ref, answer})
end
