defmodule Harness.OsProcess do
  @moduledoc """
  An operating system process of the harness: its log is kept, its end is known, signals reach it, and it is killed when
  the harness ends.
  """
  use GenServer

  defstruct [:pid, :os_pid]

  @doc "Options: `args`, `env` (a map; `nil` takes a variable away), `cd`."
  def start(program, opts \\ []) do
    {:ok, pid} = GenServer.start(__MODULE__, {program, opts})
    %__MODULE__{pid: pid, os_pid: GenServer.call(pid, :os_pid)}
  end

  @doc "Everything it wrote so far."
  def log(%__MODULE__{pid: pid}), do: GenServer.call(pid, :log)

  @doc "Its exit status, or `nil` while it runs. A signal counts as 128 and its number."
  def exit_status(%__MODULE__{pid: pid}), do: GenServer.call(pid, :status)

  def running?(process), do: exit_status(process) == nil

  @doc "Sends a signal (`:TERM`, `:KILL`, `:STOP`, ...)."
  def signal(%__MODULE__{os_pid: os_pid}, name) do
    System.cmd("kill", ["-#{name}", "#{os_pid}"], stderr_to_stdout: true)
    :ok
  end

  @doc "Sends a signal and waits for the end; answers the exit status."
  def stop(process, name \\ :TERM, deadline \\ 45_000) do
    if running?(process), do: signal(process, name)
    await_exit(process, deadline)
  end

  def await_exit(process, deadline \\ 30_000) do
    {:ended, status} =
      Harness.Wait.until(
        "the end of process #{process.os_pid}",
        fn -> with status when status != nil <- exit_status(process), do: {:ended, status} end,
        deadline
      )

    status
  end

  @doc "Resident memory in KiB: `:now` or `:peak`."
  def memory(%__MODULE__{os_pid: os_pid}, which \\ :now) do
    key = if which == :peak, do: "VmHWM", else: "VmRSS"
    [_, kib] = Regex.run(~r/#{key}:\s+(\d+) kB/, File.read!("/proc/#{os_pid}/status"))
    String.to_integer(kib)
  end

  @doc "Microseconds of processor time that it used so far, in steps of ten milliseconds."
  def processor_time(%__MODULE__{os_pid: os_pid}) do
    # Behind the name, which may hold blanks: fields 14 and 15 count ticks of user and system time.
    [_, rest] = String.split(File.read!("/proc/#{os_pid}/stat"), ") ", parts: 2)
    [user, system] = rest |> String.split(" ") |> Enum.slice(11, 2) |> Enum.map(&String.to_integer/1)
    (user + system) * 10_000
  end

  @impl true
  def init({program, opts}) do
    Process.flag(:trap_exit, true)
    found = System.find_executable(program) || raise "there is no program #{program}"

    env =
      for {name, value} <- Keyword.get(opts, :env, %{}), do: {to_charlist(name), value && to_charlist(value)}

    # The port's own way to take a variable away is `false`.
    env = for {name, value} <- env, do: {name, value || false}
    settings = [:binary, :exit_status, :stderr_to_stdout, args: Keyword.get(opts, :args, []), env: env]
    settings = if dir = opts[:cd], do: [{:cd, dir} | settings], else: settings
    port = Port.open({:spawn_executable, found}, settings)

    case Port.info(port, :os_pid) do
      {:os_pid, os_pid} ->
        Harness.Leftovers.add(os_pid)
        {:ok, %{port: port, os_pid: os_pid, log: [], status: nil}}

      nil ->
        {:ok, %{port: port, os_pid: 0, log: [], status: nil}}
    end
  end

  @impl true
  def handle_call(:os_pid, _from, state), do: {:reply, state.os_pid, state}
  def handle_call(:log, _from, state), do: {:reply, IO.iodata_to_binary(state.log), state}
  def handle_call(:status, _from, state), do: {:reply, state.status, state}

  @impl true
  def handle_info({port, {:data, data}}, %{port: port} = state),
    do: {:noreply, %{state | log: [state.log, data]}}

  def handle_info({port, {:exit_status, status}}, %{port: port} = state) do
    Harness.Leftovers.remove(state.os_pid)
    {:noreply, %{state | status: status}}
  end

  def handle_info(_, state), do: {:noreply, state}
end
