defmodule Harness.Pty do
  @moduledoc "A program on a pseudo terminal, by `script` of util-linux: it is typed to, and what it shows is waited for."
  use GenServer

  alias Harness.Wait

  defstruct [:pid]

  @deadline 30_000

  @doc "Runs a line of the shell on a terminal of 80 columns."
  def start!(command) do
    {:ok, pid} = GenServer.start(__MODULE__, command)
    %__MODULE__{pid: pid}
  end

  @doc "Types keys; what is shown from here on is what `await!/2` looks at."
  def type(%__MODULE__{pid: pid}, keys), do: GenServer.call(pid, {:type, keys})

  @doc "Types a line."
  def line(pty, line), do: type(pty, line <> "\r")

  @doc "Waits until what was shown since the last typing matches; gives it without the terminal's codes."
  def await!(pty, pattern, deadline \\ @deadline) do
    Wait.until("#{inspect(pattern)} on the terminal", fn -> shows(pty, pattern) end, deadline)
  rescue
    error -> reraise "#{Exception.message(error)}; it shows:\n#{shown(pty)}", __STACKTRACE__
  end

  @doc "What was shown since the last typing."
  def shown(%__MODULE__{pid: pid}), do: GenServer.call(pid, :shown)

  @doc "Waits until the program ends."
  def await_end!(%__MODULE__{pid: pid}, deadline \\ @deadline) do
    Wait.until("the program's end", fn -> GenServer.call(pid, :status) end, deadline)
  end

  @doc "The terminal goes, and with it what ran on it."
  def close(%__MODULE__{pid: pid}), do: if(Process.alive?(pid), do: GenServer.stop(pid))

  defp shows(pty, pattern) do
    shown = shown(pty)
    if shown =~ pattern, do: shown
  end

  @impl true
  def init(command) do
    script = System.find_executable("script") || raise "there is no script (util-linux)"
    env = [{~c"TERM", ~c"xterm"}, {~c"LC_ALL", ~c"C.UTF-8"}]

    port =
      Port.open({:spawn_executable, script}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        args: ["-qfec", "stty rows 24 cols 80; exec #{command}", "/dev/null"],
        env: env
      ])

    Process.flag(:trap_exit, true)
    {:ok, %{port: port, shown: "", status: nil}}
  end

  @impl true
  def handle_call({:type, keys}, _from, state) do
    if state.status == nil, do: Port.command(state.port, keys)
    {:reply, :ok, %{state | shown: ""}}
  end

  def handle_call(:shown, _from, state), do: {:reply, plain(state.shown), state}
  def handle_call(:status, _from, state), do: {:reply, state.status, state}

  @impl true
  def handle_info({port, {:data, data}}, %{port: port} = state),
    do: {:noreply, %{state | shown: state.shown <> data}}

  def handle_info({port, {:exit_status, status}}, %{port: port} = state),
    do: {:noreply, %{state | status: {:ended, status}}}

  def handle_info(_, state), do: {:noreply, state}

  # At the end of its input `script` would type Ctrl-D; so it is killed, and its terminal hangs up.
  @impl true
  def terminate(_reason, %{status: nil, port: port}) do
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    System.cmd("kill", ["-KILL", "#{os_pid}"], stderr_to_stdout: true)
  end

  def terminate(_reason, _state), do: :ok

  defp plain(text) do
    text |> String.replace(~r/\e\[[0-9;?]*[A-Za-z]|\e[=>78]|[\r\a]/, "") |> String.replace(~r/.\x08/, "")
  end
end
